"""The fd queue: where the arbiter puts accepted connections for one worker, until that takes them.

A socket pair. Connections go down it with their numbers, and the numbers of those that were taken
come back. The arbiter keeps the worker's end open too, so that it can take back what the worker
has not taken: the kernel gives each connection to one of the two, and never to both.

Rules: nobody waits; no decisions; not a byte of a client is read.
"""

import contextlib
import errno
import math
import os
import socket
import struct

from pyfork.net.accepted import ClientSocket

# What follows the number of a connection, negative: it could not be received, somebody else has to.
_NUMBER = struct.Struct("!q")
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # or a program that starts now inherits it
_READ = 4096  # bytes of numbers, a multiple of one


class FdQueue:
    """The arbiter's: both ends."""

    def __init__(self, ours: socket.socket, theirs: socket.socket) -> None:
        self.ours = ours
        self.theirs = theirs
        for end in (ours, theirs):
            end.setblocking(False)

    @classmethod
    def make(cls) -> "FdQueue":
        """An empty one."""
        return cls(*socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))

    def fileno(self) -> int:
        """What becomes readable when the worker has taken something."""
        return self.ours.fileno()

    def fds(self) -> tuple[int, int]:
        """Both ends, to be given to the constructor again after an exec."""
        return self.ours.fileno(), self.theirs.fileno()

    def put(self, number: int, client: socket.socket) -> bool:
        """Put a connection there; whether there was room. The caller keeps its own copy."""
        try:
            socket.send_fds(self.ours, [_NUMBER.pack(number)], [client.fileno()])
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS, errno.EPIPE):
                return False
            raise
        return True

    def taken(self) -> list[int]:
        """Numbers of connections that the worker has taken; negative, that it could not."""
        try:
            data = self.ours.recv(_READ)
        except (BlockingIOError, ConnectionResetError):
            return []
        return [number for (number,) in _NUMBER.iter_unpack(data)]

    def reclaim(self) -> list[tuple[int, int | None]]:
        """Numbers and fds of all that the worker has not taken; the fds are the caller's, and
        missing where this process has no room for more."""
        back: list[tuple[int, int | None]] = []
        with contextlib.suppress(BlockingIOError):
            while (found := _receive(self.theirs)) is not None:
                back.append(found)
        return back

    def close(self) -> None:
        """Close both ends; what is there is closed with it."""
        self.ours.close()
        self.theirs.close()


class QueueClosed(BlockingIOError):
    """Nobody puts anything there any more."""


class FdQueueReader:
    """The worker's end, with the verbs of a listening socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        """What becomes readable when there is a connection; -1 after `close`."""
        return self._end.fileno()

    def accept(self) -> ClientSocket:
        """Take a connection, as `take` does."""
        return ClientSocket.adopt(self.take())

    def take(self) -> int:
        """The fd of a connection, which is this worker's from now on.

        Raises:
            BlockingIOError: there is none; TrayGone: and there never will be.
            OSError: this process cannot have more; the arbiter was told to give it to another.
        """
        found = _receive(self._end)
        if found is None:
            raise QueueClosed(errno.EAGAIN, "the arbiter is gone")
        number, fd = found
        with contextlib.suppress(ConnectionError):  # the arbiter is gone; what it gave is here
            self._end.send(_NUMBER.pack(number if fd is not None else -number))
        if fd is None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return fd

    def backlog(self) -> float:
        """How many connections wait there: not known, and no more than the arbiter has put."""
        return math.inf

    def close(self) -> None:
        """Take nothing more."""
        self._end.close()


def _receive(end: socket.socket) -> tuple[int, int | None] | None:
    """One connection's number and fd, which is missing if there is no room for it; or None at the
    end."""
    try:
        data, fds, _, _ = socket.recv_fds(end, _NUMBER.size, 1, _CLOEXEC)
    except ConnectionResetError:  # an end that has not read all that was said to it
        return None
    if not data:
        return None
    for fd in fds:
        os.set_inheritable(fd, False)
    return _NUMBER.unpack(data)[0], fds[0] if fds else None
