"""A queue of accepted connections for one worker: a socket pair.

The arbiter sends each connection with a number, and the worker returns the numbers of those that it
has taken. The arbiter keeps the worker's end open too, so that it can reclaim connections which the
worker has not taken: the kernel gives each of them to one reader only.

Rules: never blocks; no decisions; reads no byte of a client.
"""

import contextlib
import errno
import math
import os
import socket
import struct

from pyfork.net.accepted import ClientSocket

# The number of a connection. The worker returns it negative if it could not open the connection.
_NUMBER = struct.Struct("!q")
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # or a program that starts now inherits it
_READ = 4096  # bytes of numbers, a multiple of one


class FdQueue:
    """The arbiter's side: both ends."""

    def __init__(self, ours: socket.socket, theirs: socket.socket) -> None:
        self.ours = ours
        self.theirs = theirs
        for end in (ours, theirs):
            end.setblocking(False)

    @classmethod
    def make(cls) -> "FdQueue":
        """Make an empty queue."""
        return cls(*socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))

    def fileno(self) -> int:
        """The fd that is readable when the worker has returned numbers."""
        return self.ours.fileno()

    def fds(self) -> tuple[int, int]:
        """Both ends, for the constructor after an exec."""
        return self.ours.fileno(), self.theirs.fileno()

    def put(self, number: int, client: socket.socket) -> bool:
        """Queue a connection. Returns whether it fitted. The caller keeps its own copy."""
        try:
            socket.send_fds(self.ours, [_NUMBER.pack(number)], [client.fileno()])
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS, errno.EPIPE):
                return False
            raise
        return True

    def taken(self) -> list[int]:
        """The numbers that the worker has returned; negative ones could not be opened."""
        try:
            data = self.ours.recv(_READ)
        except (BlockingIOError, ConnectionResetError):
            return []
        return [number for (number,) in _NUMBER.iter_unpack(data)]

    def reclaim(self) -> list[tuple[int, int | None]]:
        """Take back all connections that the worker has not taken: their numbers and fds.

        The caller closes the fds. An fd is None if this process could not open more.
        """
        back: list[tuple[int, int | None]] = []
        with contextlib.suppress(BlockingIOError):
            while (found := _receive(self.theirs)) is not None:
                back.append(found)
        return back

    def close(self) -> None:
        """Close both ends, and the connections that are queued."""
        self.ours.close()
        self.theirs.close()


class QueueClosed(BlockingIOError):
    """The arbiter is gone: no more connections arrive."""


class FdQueueReader:
    """The worker's end, with the methods of a listening socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        """The fd that is readable when a connection is queued; -1 after `close`."""
        return self._end.fileno()

    def accept(self) -> ClientSocket:
        """Take a connection, as `take` does."""
        return ClientSocket.adopt(self.take())

    def take(self) -> int:
        """Take a connection. Returns its fd, which the caller owns.

        Raises:
            BlockingIOError: the queue is empty.
            QueueClosed: the queue is empty, and the arbiter is gone.
            OSError: this process cannot open more; the arbiter gives the connection to another.
        """
        found = _receive(self._end)
        if found is None:
            raise QueueClosed(errno.EAGAIN, "the arbiter is gone")
        number, fd = found
        with contextlib.suppress(ConnectionError):  # the arbiter is gone; its connection is here
            self._end.send(_NUMBER.pack(number if fd is not None else -number))
        if fd is None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return fd

    def backlog(self) -> float:
        """The number of queued connections, which is not known."""
        return math.inf

    def close(self) -> None:
        """Close the worker's end."""
        self._end.close()


def _receive(end: socket.socket) -> tuple[int, int | None] | None:
    """The number and fd of one connection; None at the end of the stream.

    The fd is None if this process could not open more.
    """
    try:
        data, fds, _, _ = socket.recv_fds(end, _NUMBER.size, 1, _CLOEXEC)
    except ConnectionResetError:  # the other end closed with unread numbers
        return None
    if not data:
        return None
    for fd in fds:
        os.set_inheritable(fd, False)
    return _NUMBER.unpack(data)[0], fds[0] if fds else None
