"""The descriptors of a script under which there is a shared socket.

A script may close, replace or duplicate a descriptor without our methods, in C or in another
thread. So an entry counts only while the descriptor has the inode of the entry.
"""

import os
from enum import Enum
from typing import Any

from pyfork.record import entity


class FdStage(Enum):
    """The use of a descriptor in the table."""

    PORT_ZERO = 1  # bound to port 0 by this process alone
    SHARED = 2  # a copy of a handle
    ACCEPT_EPOLL = 3  # an `AcceptEpoll` in the place of a listener
    DUMMY = 4  # a dummy listener in the place of the real one: this process drains


@entity
class SharedFd:
    """A descriptor of the script that is in the table."""

    key: str  # of the handle; empty under `PORT_ZERO`
    inode: int  # of the open socket or epoll
    is_stream: bool
    stage: FdStage = FdStage.SHARED
    name: Any = None  # what getsockname() returns once the socket itself cannot
    replaced_inode: int = -1  # of the listener that was there before `DUMMY`
    # whether the script has called listen(); another process may have done so before
    listens: bool = False
    is_inherited: bool = False  # by a fork: the worker's copy, and not one of this process


class FdTable:
    """The shared descriptors of one process."""

    def __init__(self) -> None:
        self.entries: dict[int, SharedFd] = {}  # by descriptor

    def add(
        self,
        fd: int,
        key: str,
        stage: FdStage = FdStage.SHARED,
        *,
        is_stream: bool = True,
        listens: bool = False,
    ) -> None:
        """Add the socket that is under ``fd`` now."""
        self.entries[fd] = SharedFd(key, inode_of(fd), is_stream, stage, listens=listens)

    def remove(self, fd: int) -> SharedFd | None:
        """Remove the entry of ``fd``, and return it."""
        return self.entries.pop(fd, None)

    def at(self, fd: int) -> SharedFd | None:
        """Return the entry of ``fd`` if its socket is still the one in the table.

        `SocketPatches.end` may replace both at any time, in another thread: then look again.
        """
        while entry := self.entries.get(fd):
            if inode_of(fd) in (entry.inode, entry.replaced_inode):
                return entry
            if self.entries.get(fd) is entry:
                break
        return None

    def shared_at(self, fd: int) -> SharedFd | None:
        """Return the entry of ``fd`` if a handle or its epoll is there."""
        entry = self.at(fd)
        return None if entry is None or entry.stage is FdStage.PORT_ZERO else entry

    def register_duplicate(self, fd: int) -> bool:
        """Add ``fd`` if it is a duplicate of a shared socket. Returns whether it is."""
        inode = inode_of(fd)
        for entry in list(self.entries.values()):
            if inode and entry.inode == inode and entry.stage is not FdStage.PORT_ZERO:
                self.entries[fd] = entry
                return True
        return False

    def has_inode(self, inode: int) -> bool:
        """Whether the socket ``inode`` is in the table."""
        return any(entry.inode == inode for entry in list(self.entries.values()))

    def has_handle(self, key: str) -> bool:
        """Whether the script has a copy of the handle ``key``."""
        return any(entry.key == key for entry in list(self.entries.values()))

    def stream_fds(self) -> list[int]:
        """Return the descriptors on which connections arrive."""
        entries = list(self.entries.items())
        return [fd for fd, entry in entries if entry.is_stream and self.shared_at(fd)]

    def closed_fds(self) -> list[int]:
        """Return the descriptors that were closed without our methods."""
        return [fd for fd in list(self.entries) if not self.at(fd)]


def inode_of(fd: int) -> int:
    """Return the inode behind ``fd``, the same for all copies; 0 if ``fd`` is closed."""
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0
