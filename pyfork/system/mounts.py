"""Which file systems depend on a server that may be gone.

They are told by /proc/self/mountinfo (proc(5)), without a system call that could wait for the file
system itself.
"""

import os
from collections.abc import Iterable

# These depend on this machine's disks and memory only. All others may hang: NFS, SMB, FUSE, 9p...
_LOCAL = frozenset(
    (
        *("bcachefs", "btrfs", "devpts", "devtmpfs", "erofs", "exfat", "ext2", "ext3", "ext4"),
        *("f2fs", "hfsplus", "jfs", "msdos", "ntfs3", "overlay", "proc", "ramfs", "reiserfs"),
        *("rootfs", "squashfs", "sysfs", "tmpfs", "udf", "vfat", "xfs", "zfs"),
    )
)
_MOST_LINKS = 40  # as Linux


class Mounts:
    """The mounted file systems, as they were when this was made."""

    def __init__(self, lines: Iterable[str]) -> None:
        """``lines`` of mountinfo."""
        self._kinds: dict[str, str] = {}  # by mount point; the last mount covers earlier ones
        for line in lines:
            fields = line.split()
            if "-" in fields[6:]:
                self._kinds[_unescaped(fields[4])] = fields[fields.index("-", 6) + 1]

    @classmethod
    def read(cls) -> "Mounts":
        """Of this process; none where there is no mountinfo."""
        try:
            with open("/proc/self/mountinfo", errors="surrogateescape") as lines:
                return cls(lines)
        except OSError:
            return cls(())

    def may_hang(self, path: str) -> bool:
        """Whether the absolute ``path`` is on, or leads over, a file system that is not local.

        Symbolic links are read, but none on such a file system.
        """
        left, at, links = path.split("/"), "/", 0
        while True:
            if self._kinds.get(at, "rootfs") not in _LOCAL:
                return True
            while left and left[0] in ("", "."):
                left.pop(0)
            if not left:
                return False
            name = left.pop(0)
            following = os.path.dirname(at) if name == ".." else os.path.join(at, name)
            if self._kinds.get(following, "rootfs") in _LOCAL:
                try:
                    target = os.readlink(following)
                except OSError:  # it is no link, or does not exist
                    target = ""
                if target and links < _MOST_LINKS:
                    links += 1
                    left = [*target.split("/"), *left]
                    following = "/" if target.startswith("/") else at
            at = following


def _unescaped(field: str) -> str:
    """Space, tab, line end and backslash are written as octal numbers."""
    for code in ("\\040", "\\011", "\\012", "\\134"):
        field = field.replace(code, chr(int(code[1:], 8)))
    return field
