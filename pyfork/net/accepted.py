"""Accepting a client: its socket, with what accept says about it."""

import math
import os
import socket
from typing import TypeAlias

from pyfork.net.closing import refuses_new
from pyfork.system.proc_sockets import queue

_family = socket.SocketType.family.__get__  # as a number
_STREAM = int(socket.SOCK_STREAM)


class ClientSocket(socket.socket):
    """An accepted TCP or unix socket, which does not block.

    An event loop asks for its kind again and again, and `socket.socket` makes an enumeration of it
    each time, which takes as long as the accept: here they are numbers.
    """

    __slots__ = ("_kind", "name", "peer")

    def __init__(self, family: int, fd: int, name: object = None, peer: object = None) -> None:
        super().__init__(family, socket.SOCK_STREAM, 0, fileno=fd)
        self.setblocking(False)
        self._kind = family
        self.name = name  # our address, where it is known
        self.peer = peer  # the client's

    @classmethod
    def adopt(cls, fd: int) -> "ClientSocket":
        """The socket of a client that another process has accepted; the fd is its own then."""
        known = socket.socket(fileno=fd)  # which asks the kernel
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
        """Close what no loop took."""
        self.close()


class RawClient:
    """The same for a loop that asks the kernel itself, as uvloop does, and wants no more of it.

    A `socket.socket` takes a call to the kernel to be made and another not to block, which the
    loop sees to anyhow: a tenth of what a short connection costs.
    """

    __slots__ = ("_fd", "family", "name", "peer")

    type = _STREAM

    def __init__(self, family: int, fd: int, name: object = None, peer: object = None) -> None:
        self._fd = fd
        self.family = family
        self.name = name
        self.peer = peer

    def fileno(self) -> int:
        """The fd, which is the loop's once it has taken it."""
        return self._fd

    def close(self) -> None:
        """Nothing is left to do: the loop calls this when it has closed the fd."""

    def close_unused(self) -> None:
        """Close what no loop took."""
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
        self._name = None if wild else name  # every client's address of ours

    def fileno(self) -> int:
        """Readable when there is a client."""
        return self._listener.fileno()

    def accept(self) -> Client:
        """A client. Raises what `socket.accept` raises."""
        fd, peer = self._accept()
        return self._kind(self._family, fd, self._name, peer)

    def backlog(self) -> float:
        """How many clients wait to be accepted, infinity where the system does not tell.

        Infinity, too, where no further one can come to wait: all are to be accepted.
        """
        if refuses_new(self._listener):
            return math.inf
        told = queue(self._listener)
        return math.inf if told is None else told[0]

    def close(self) -> None:
        """Close the listening socket."""
        self._listener.close()
