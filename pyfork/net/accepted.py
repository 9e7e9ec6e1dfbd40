"""Accepted clients: the socket, and the addresses that accept() returned."""

import math
import os
import socket
from typing import TypeAlias

from pyfork.net.closing import refuses_new
from pyfork.system.proc_sockets import queue

_family = socket.SocketType.family.__get__  # as a number
_STREAM = int(socket.SOCK_STREAM)


class ClientSocket(socket.socket):
    """An accepted, non-blocking TCP or unix socket.

    An event loop reads `family` and `type` often, and `socket.socket` makes an enum member each
    time, which takes as long as the accept. Here they are numbers.
    """

    __slots__ = ("_kind", "name", "peer")

    def __init__(self, family: int, fd: int, name: object = None, peer: object = None) -> None:
        super().__init__(family, socket.SOCK_STREAM, 0, fileno=fd)
        self.setblocking(False)
        self._kind = family
        self.name = name  # the local address; None: not known
        self.peer = peer  # the client's address

    @classmethod
    def adopt(cls, fd: int) -> "ClientSocket":
        """The socket of a client that another process has accepted. It owns the fd."""
        known = socket.socket(fileno=fd)  # one system call
        family = _family(known)
        return cls(family, known.detach())

    @property
    def family(self) -> int:  # type: ignore[override]
        """AF_INET, AF_INET6 or AF_UNIX."""
        return self._kind

    @property
    def type(self) -> int:  # type: ignore[override]
        """SOCK_STREAM."""
        return _STREAM

    def close_unused(self) -> None:
        """Close a client that no event loop has taken."""
        self.close()


class RawClient:
    """An accepted client for an event loop that makes its own system calls, as uvloop does.

    Making a non-blocking `socket.socket` takes two system calls, which uvloop repeats: a tenth of
    the cost of a short connection.
    """

    __slots__ = ("_fd", "family", "name", "peer")

    type = _STREAM

    def __init__(self, family: int, fd: int, name: object = None, peer: object = None) -> None:
        self._fd = fd
        self.family = family
        self.name = name
        self.peer = peer

    def fileno(self) -> int:
        """The fd, which the event loop owns once it has taken it."""
        return self._fd

    def close(self) -> None:
        """Do nothing: the event loop calls this after it has closed the fd."""

    def close_unused(self) -> None:
        """Close a client that no event loop has taken."""
        os.close(self._fd)


Client: TypeAlias = ClientSocket | RawClient


class ListenSocket:
    """A listening socket that accepts clients."""

    def __init__(
        self, listener: socket.socket, kind: type[ClientSocket] | type[RawClient] = ClientSocket
    ) -> None:
        self._accept = listener._accept  # type: ignore[attr-defined]
        self._kind = kind
        self._listener = listener
        self._family = _family(listener)
        name = listener.getsockname()
        wild = isinstance(name, tuple) and name[0] in ("0.0.0.0", "::")
        self._name = None if wild else name  # the local address of every client

    def fileno(self) -> int:
        """The fd that is readable when a client waits."""
        return self._listener.fileno()

    def accept(self) -> Client:
        """Accept a client. Raises what `socket.accept` raises."""
        fd, peer = self._accept()
        return self._kind(self._family, fd, self._name, peer)

    def backlog(self) -> float:
        """The number of clients that wait to be accepted.

        Infinity where the system does not tell, and after `refuse_new`: then all are accepted.
        """
        if refuses_new(self._listener):
            return math.inf
        found = queue(self._listener)
        return math.inf if found is None else found[0]

    def close(self) -> None:
        """Close the listening socket."""
        self._listener.close()
