"""Accepting a client: its socket, with what accept says about it."""

import socket

_family = socket.SocketType.family.__get__  # as a number


class Client(socket.socket):
    """An accepted TCP or unix socket.

    An event loop asks for its kind again and again, and `socket.socket` makes an enumeration of it
    each time, which takes as long as the accept: here they are numbers.
    """

    __slots__ = ("_kind", "name", "peer")

    def __init__(self, family: int, fd: int, *, name: object = None, peer: object = None) -> None:
        super().__init__(family, socket.SOCK_STREAM, 0, fileno=fd)
        self._kind = family
        self.name = name  # our address, where it is known
        self.peer = peer  # the client's

    @classmethod
    def adopt(cls, fd: int) -> "Client":
        """The socket of a client that another process has accepted; the fd is its own then."""
        known = socket.socket(fileno=fd)  # which asks the kernel
        family = _family(known)
        client = cls(family, known.detach())
        client.setblocking(False)
        return client

    @property
    def family(self) -> int:  # type: ignore[override]
        """AF_INET, AF_INET6 or AF_UNIX."""
        return self._kind

    @property
    def type(self) -> int:  # type: ignore[override]
        """SOCK_STREAM."""
        return _STREAM


class Listening:
    """A listening socket that accepts `Client`\\ s."""

    def __init__(self, listener: socket.socket) -> None:
        self._accept = listener._accept  # type: ignore[attr-defined]
        self._listener = listener
        self._family = _family(listener)
        name = listener.getsockname()
        wild = isinstance(name, tuple) and name[0] in ("0.0.0.0", "::")
        self._name = None if wild else name  # every client's address of ours

    def fileno(self) -> int:
        """Readable when there is a client."""
        return self._listener.fileno()

    def accept(self) -> Client:
        """A client, whose socket does not block. Raises what `socket.accept` raises."""
        fd, peer = self._accept()
        client = Client(self._family, fd, name=self._name, peer=peer)
        client.setblocking(False)
        return client

    def close(self) -> None:
        """Close the listening socket."""
        self._listener.close()


_STREAM = int(socket.SOCK_STREAM)
