"""What the processes that accept from one epoll share: a few numbers in memory.

Rules: no message and no lock; each number is one aligned word.
"""

import mmap
import os
import struct

from pyfork.system.memfd import anonymous_file

_SIZE = 24  # bytes
_INTEGER, _SECONDS = struct.Struct("q"), struct.Struct("d")
_VERSION, _LAST_ACCEPT, _CHILD_ACCEPTS = 0, 8, 16  # offsets


class EpollState:
    """The numbers; ``fd`` is their memory, which this object owns."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, _SIZE)

    @classmethod
    def make(cls) -> "EpollState":
        """Make one for a new epoll. Raises OSError."""
        with anonymous_file("pyfork-epoll") as file:
            file.truncate(_SIZE)
            return cls(os.dup(file.fileno()))

    @property
    def version(self) -> int:
        """Changes with the sources of the epoll."""
        return self._integer(_VERSION)

    def change(self) -> None:
        """Note that a source came or went. Only the worker does so."""
        _INTEGER.pack_into(self._memory, _VERSION, self.version + 1)

    @property
    def last_accept(self) -> float:
        """When a process last came to accept, in monotonic seconds; 0: never."""
        return float(_SECONDS.unpack_from(self._memory, _LAST_ACCEPT)[0])

    @last_accept.setter
    def last_accept(self, now: float) -> None:
        _SECONDS.pack_into(self._memory, _LAST_ACCEPT, now)

    @property
    def child_accepts(self) -> bool:
        """Whether a child has come to accept."""
        return bool(self._integer(_CHILD_ACCEPTS))

    def note_child(self) -> None:
        """Note that a child has come to accept."""
        _INTEGER.pack_into(self._memory, _CHILD_ACCEPTS, 1)

    def close(self) -> None:
        """Close the descriptor. The memory stays for a thread that is inside accept()."""
        os.close(self.fd)

    def _integer(self, offset: int) -> int:
        return int(_INTEGER.unpack_from(self._memory, offset)[0])
