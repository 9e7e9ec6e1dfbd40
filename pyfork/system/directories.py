"""Directories that other users may write to, and the way to a file there.

Root writes wherever a link leads, and may give what it has made to ``--user``: a user who can plant
a link would have any file written to, and own it. So on the way to a file that is written, a link
in such a directory is followed only if it is root's or our own. Each directory is opened from the
one before it, so nothing can be exchanged between a check and the use.
"""

import errno
import os
import stat
from collections.abc import Set

_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS = 40  # as Linux


def open_parent(path: str) -> int:
    """The directory of the absolute ``path``, open. The last name of ``path`` is not looked at.

    Raises:
        OSError: it cannot be opened, or another user's link is on the way.
    """
    directory, _ = follow(os.path.join(os.path.dirname(path), "."))
    return directory


def follow(path: str) -> tuple[int, str]:
    """The directory that the absolute ``path`` leads to, open, and the name there, which was no
    link or did not exist.

    Raises:
        OSError: it cannot be opened, or another user's link is on the way.
    """
    directory, left, links = os.open("/", _STEP), path.split("/"), 0
    try:
        while True:
            name = left.pop(0)
            if name and _is_link(name, directory):
                links += 1
                target = _target(name, directory, path, links)
                left = [*target.split("/"), *left]
                name = "/" if target.startswith("/") else ""
            elif not left:
                return directory, name
            if name:
                inner = os.open(name, _STEP | os.O_NOFOLLOW, dir_fd=directory)
                os.close(directory)
                directory = inner
    except BaseException:
        os.close(directory)
        raise


def is_exposed(directory: os.stat_result) -> bool:
    """Whether users whom this process need not trust may write to it."""
    if os.geteuid() == 0:
        return directory.st_uid != 0 or bool(directory.st_mode & 0o022)
    return bool(directory.st_mode & 0o002)


def trusted() -> Set[int]:
    """The user ids of which a link or file may be anywhere: root's and our own."""
    return {0, os.geteuid()}


def _is_link(name: str, directory: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _target(name: str, directory: int, path: str, links: int) -> str:
    """Where the link ``name`` leads to. Raises OSError: it is not to be followed."""
    owner = os.stat(name, dir_fd=directory, follow_symlinks=False).st_uid
    if is_exposed(os.fstat(directory)) and owner not in trusted():
        why = f"{name} is a symbolic link of user {owner} in a directory that others may write to"
        raise PermissionError(errno.EPERM, why, path)
    if links > _MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return os.readlink(name, dir_fd=directory)
