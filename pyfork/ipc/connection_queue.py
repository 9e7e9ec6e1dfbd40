"""The connection queue: connections that busy workers gave away, for the first that is free.

A socket pair of the whole server, made before the first fork. Every worker has both ends: it puts
connections in at one, and takes them out at the other. The kernel gives each message to exactly
one reader, and keeps it when the process that wrote it ends.

Rules: never blocks; no decisions; reads no byte of a client.
"""

import errno
import os
import socket
import sys
from collections.abc import Sequence

from pyfork.record import record

_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # or a program that starts now inherits it
# Messages keep their bounds in both; Linux bounds datagrams by their number, to a few.
_TYPE = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
# The queue is full, by bytes or by files in transit; or its other end is closed.
_FULL = frozenset(
    (errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS, errno.EMFILE, errno.EPIPE, errno.ECONNRESET)
)

KEPT, TLS = 1, 2  # flags of a connection

MAX_DATA = 16 * 1024  # bytes that were read of it and travel with it, at most


@record
class Given:
    """A connection that was taken out: its descriptor belongs to the caller."""

    fd: int
    kept: bool  # requests were answered on it before
    tls: bool  # its listener speaks TLS, and nothing was read of it yet
    data: bytes  # that were read of its next request


class ConnectionQueue:
    """Both ends."""

    def __init__(self, into: socket.socket, out: socket.socket) -> None:
        self._into = into
        self._out = out
        for end in (into, out):
            end.setblocking(False)

    @classmethod
    def make(cls) -> "ConnectionQueue":
        """An empty one."""
        return cls(*socket.socketpair(socket.AF_UNIX, _TYPE))

    @classmethod
    def from_fds(cls, fds: Sequence[int]) -> "ConnectionQueue":
        """The one whose ``fds`` they are."""
        into, out = fds
        return cls(socket.socket(fileno=into), socket.socket(fileno=out))

    def fds(self) -> tuple[int, int]:
        """Both ends, for `from_fds` behind an exec."""
        return self._into.fileno(), self._out.fileno()

    def ends(self) -> tuple[socket.socket, socket.socket]:
        """Both, for what no other process is to have."""
        return self._into, self._out

    def fileno(self) -> int:
        """The descriptor that is readable while a connection is there; -1 after `close`."""
        return self._out.fileno()

    def put(self, fd: int, *, kept: bool, tls: bool, data: bytes = b"") -> bool:
        """Put a connection there; whether there was room. The caller keeps its own copy.

        ``data``: MAX_DATA bytes at most, which were read of its next request.
        """
        flags = (KEPT if kept else 0) | (TLS if tls else 0)
        try:
            socket.send_fds(self._into, [bytes((flags,)), data], [fd])
        except OSError as error:
            if error.errno in _FULL:
                return False
            raise
        return True

    def take(self) -> Given | None:
        """A connection, if one is there.

        Raises:
            OSError: this process can have no more files; nothing was taken.
        """
        # A descriptor that finds no place would be lost with its message: is there one?
        os.close(os.dup(self._out.fileno()))
        try:
            data, fds, _, _ = socket.recv_fds(self._out, 1 + MAX_DATA, 1, _CLOEXEC)
        except (BlockingIOError, ConnectionError):
            return None
        if not data or not fds:
            return None
        os.set_inheritable(fds[0], False)
        return Given(fds[0], bool(data[0] & KEPT), bool(data[0] & TLS), data[1:])

    def close(self) -> None:
        """Close both ends."""
        self._into.close()
        self._out.close()
