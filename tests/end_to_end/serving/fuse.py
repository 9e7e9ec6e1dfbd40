"""A file system that hangs: whoever opens a file in it waits in the kernel, deaf to SIGKILL.

As an NFS server does that has gone away. Only root can make one, where the kernel has FUSE.
"""

import ctypes
import os
import struct
from pathlib import Path

_HEADER = struct.Struct("IIQQIIII")  # struct fuse_in_header
_ANSWER = struct.Struct("IiQ")  # struct fuse_out_header
_INIT = struct.Struct("IIIIHHIIHHI7I")  # struct fuse_init_out, of protocol 7.31
_DETACH = 2  # MNT_DETACH


class Hanging:
    """Mounted at a directory, until `close`. Raises OSError: it cannot be made here."""

    def __init__(self, place: Path) -> None:
        self._place = os.fsencode(place)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if self._libc.mount(b"pyfork-test", self._place, b"fuse", 0, options):
            number = ctypes.get_errno()
            os.close(self._device)
            raise OSError(number, os.strerror(number))
        _, _, unique, *_ = _HEADER.unpack_from(os.read(self._device, 1 << 20))
        init = _INIT.pack(7, 31, 0, 0, 1, 1, 1 << 16, 1, 16, 0, 0, *(0,) * 7)
        os.write(self._device, _ANSWER.pack(_ANSWER.size + len(init), 0, unique) + init)

    def take(self) -> int:
        """Wait for a request, and never answer it: the pid of who waits from now on."""
        pid: int = _HEADER.unpack_from(os.read(self._device, 1 << 20))[6]
        return pid

    def close(self) -> None:
        """Unmount it: those who wait get an error."""
        if self._device >= 0:
            self._libc.umount2(self._place, _DETACH)
            os.close(self._device)
            self._device = -1
