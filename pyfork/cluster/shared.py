"""Sockets of a script whose kernel side is shared with other processes.

``O_NONBLOCK`` belongs to what is shared. It is on, always, or one process would choose for all:
of three that were woken by one connection, two would hang in accept(), and with it an event loop
and whoever it was serving. Not for an instant, either: one that boots must not hang one that
serves. Python turns it off for a socket without a timeout, and for no other. So one that the
script believes to block has the longest timeout there is, and begins again when it is over.

A socket becomes one of these by changing its class, not its identity: whoever has it has it still.
"""

import os
import socket
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

_PATIENT = ("_accept", "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into")
_ENDLESS = 2_147_000.25  # seconds; a little less than a C int of milliseconds, and nobody's choice


class Owner(Protocol):
    """Who shares sockets, and is told what a script does with them."""

    def __hash__(self) -> int: ...

    def decide(self, sock: Any) -> None:
        """The script asks for the port that the kernel chose."""

    def withdraw(self, sock: Any) -> None:
        """The script connects: the socket is a client's."""

    def forget(self, fd: int, close: Callable[[], object]) -> None:
        """The script closes, by ``close``."""

    def accept(self, fd: int, timeout: float | None) -> tuple[int, Any]:
        """The script accepts on a socket that is `received`."""

    def handle(self, fd: int) -> socket.socket:
        """What listens in the place of it."""

    def name(self, fd: int) -> Any:
        """The address of that."""

    def copied(self, fd: int, new: int) -> None:
        """There are two of it."""


class _Shared:
    """What is put before the class of a shared socket."""

    __slots__ = ()
    owner: Owner

    def settimeout(self, value: float | None) -> None:
        super().settimeout(_ENDLESS if value is None else value)  # type: ignore[misc]

    def gettimeout(self) -> float | None:
        value: float | None = super().gettimeout()  # type: ignore[misc]
        return None if value == _ENDLESS else value

    timeout = property(gettimeout)

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def connect(self, address: Any) -> None:
        self.owner.withdraw(self)
        self.connect(address)  # it is of its own class again

    def connect_ex(self, address: Any) -> int:
        self.owner.withdraw(self)
        return self.connect_ex(address)

    def _real_close(self) -> None:
        self.owner.forget(self.fileno(), super()._real_close)  # type: ignore[attr-defined, misc]


def _patient(name: str) -> Callable[..., Any]:
    """The method ``name``, that waits without end if the script has set no timeout."""

    def method(self: Any, *args: Any, **keywords: Any) -> Any:
        attempt = getattr(super(_Shared, self), name)
        while True:
            try:
                return attempt(*args, **keywords)
            except TimeoutError:
                if self.gettimeout() is not None:
                    raise

    method.__name__ = name
    return method


for _name in _PATIENT:
    setattr(_Shared, _name, _patient(_name))


class _Received(_Shared):
    """It listens, and what is under its descriptor is no socket any more."""

    __slots__ = ()

    def _accept(self) -> tuple[int, Any]:
        return self.owner.accept(self.fileno(), self.gettimeout())  # type: ignore[attr-defined]

    def getsockname(self) -> Any:
        return self.owner.name(self.fileno())  # type: ignore[attr-defined]

    def getsockopt(self, *args: Any) -> Any:
        return self.owner.handle(self.fileno()).getsockopt(*args)  # type: ignore[attr-defined]

    def setsockopt(self, *args: Any) -> None:
        self.owner.handle(self.fileno()).setsockopt(*args)  # type: ignore[attr-defined]

    def dup(self) -> Any:
        fd: int = self.fileno()  # type: ignore[attr-defined]
        copy = self.owner.handle(fd).dup()  # a socket, or its family could not be asked for
        os.dup2(fd, copy.fileno(), inheritable=False)
        self.owner.copied(fd, copy.fileno())
        _become(copy, _joined(_Received, _plain(copy), self.owner))
        copy.settimeout(self.gettimeout())
        return copy


class _Undecided:
    """Bound to port 0, by this process alone. If it asks for its port it is a server's."""

    __slots__ = ()
    owner: Owner

    def getsockname(self) -> Any:
        try:
            self.getpeername()  # type: ignore[attr-defined]
        except OSError:
            self.owner.decide(self)
        else:  # it was connected past this class
            restore(self)
        return self.getsockname()  # it is of another class now

    def connect(self, address: Any) -> None:
        restore(self)
        self.connect(address)

    def connect_ex(self, address: Any) -> int:
        restore(self)
        return self.connect_ex(address)


@cache
def _joined(first: type, kind: type, owner: Owner) -> type:
    members = {"__slots__": (), "__module__": kind.__module__, "owner": owner}
    return type(kind.__name__, (first, kind), members)


def share(sock: Any, owner: Owner) -> None:
    """Make ``sock`` one of a shared kind, if it is of Python's own class or derived from it."""
    if isinstance(sock, socket.socket) and _become(sock, _joined(_Shared, _plain(sock), owner)):
        sock.settimeout(sock.gettimeout())


def receive(sock: Any, owner: Owner) -> None:
    """Make a shared ``sock`` ask ``owner`` for connections. Others have to see to that."""
    if is_shared(sock):
        _become(sock, _joined(_Received, _plain(sock), owner))


def is_shared(sock: Any) -> bool:
    """Whether it is one of these."""
    return isinstance(sock, _Shared)


def hesitate(sock: Any, owner: Owner) -> bool:
    """Have ``owner`` decide as soon as the script asks for the port. Whether that is possible."""
    return isinstance(sock, socket.socket) and _become(
        sock, _joined(_Undecided, _plain(sock), owner)
    )


def restore(sock: Any) -> None:
    """Give ``sock`` its own class back."""
    _become(sock, _plain(sock))


def _plain(sock: Any) -> type:
    return next(each for each in type(sock).__mro__ if not issubclass(each, _Shared | _Undecided))


def _become(sock: Any, kind: type) -> bool:
    try:
        sock.__class__ = kind
    except TypeError:  # an unusual class of the script's own: it goes on as it is
        return False
    return True
