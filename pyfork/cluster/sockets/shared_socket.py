"""Python's sockets where their kernel side is shared with other processes.

``O_NONBLOCK`` belongs to what is shared. It is on, always, or one process would choose for all:
of three that were woken by one connection, two would hang in accept(), and with it an event loop
and its clients. Not for an instant, either: a worker that boots must not hang one that serves.
Python turns it off for a socket without a timeout, and for no other. So a socket that the script
believes to block has the longest timeout there is, and begins again when it is over.

A socket keeps its identity and its class: multiprocessing and trio ask for the very class. The
methods of the class itself look whether the descriptor is in a table, which costs any other socket
a lookup where it is opened, closed, or asked for its name, and nothing where it sends or receives.
"""

import os
import socket
from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import Any, Protocol

from pyfork.record import entity

_RECEIVING = ("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into")
_NO_TIMEOUT = (
    2_147_000.25  # seconds; a little less than a C int of milliseconds, and nobody's choice
)

Method = Callable[..., Any]


class PortZeroStage(Enum):
    """What a descriptor of the script's is."""

    UNDECIDED = 1  # bound to port 0 by this process alone; a server's if it asks for its port
    SHARED = 2  # a copy of a handle
    RECEIVED = 3  # not a socket any more, but a `Desk` in the place of one
    ENDED = 4  # a dead listener in the place of one: this process is leaving


@entity
class Copy:
    """A descriptor of the script's that is in the table."""

    key: str  # of the handle; none while it is undecided
    inode: int  # of what is open there
    is_stream: bool
    stage: PortZeroStage = PortZeroStage.SHARED
    name: Any = None  # what getsockname() returns once the socket itself cannot
    replaced_inode: int = -1  # of the listener that was there before `ENDED`
    listens: bool = False  # as far as the script knows: others may have made it listen before


class Owner(Protocol):
    """Who has the table, and is told what a script does with its sockets."""

    copies: dict[int, Copy]  # by descriptor

    def known(self, fd: int) -> Copy | None:
        """The entry of ``fd``, if what is open there is still the same."""

    def adopt(self, fd: int) -> bool:
        """Whether ``fd`` is a duplicate of a shared socket; it is in the table then."""

    def share_port_zero(self, sock: Any) -> None:
        """The script asks for the port that the kernel chose."""

    def undecide(self, fd: int) -> None:
        """The script connects a socket that it has bound to port 0: it is a client's."""

    def make_private(self, sock: Any) -> None:
        """The script connects: the socket is a client's."""

    def forget(self, fd: int, close: Callable[[], object]) -> None:
        """The script closes, by ``close``."""

    def accept(self, fd: int, timeout: float | None) -> tuple[int, Any]:
        """The script accepts at a desk."""

    def handle(self, fd: int) -> socket.socket:
        """What listens in the place of a desk."""

    def on_dup(self, fd: int, new: int) -> None:
        """There are two of it."""


def harden(sock: Any) -> None:
    """Let ``sock`` wait as its script has said, and its descriptor never block."""
    sock.settimeout(sock.gettimeout())


def _put(kind: Any, name: str, method: Method) -> None:
    setattr(kind, name, wraps(getattr(kind, name))(method))


class Sockets:
    """What the sockets of a class do, for one process; the methods as they were are behind."""

    def __init__(self, owner: Owner, kind: Any) -> None:
        self._owner = owner
        self._is_patient = False
        self._copies = owner.copies
        self._kind = kind
        self._plain_settimeout: Method = kind.settimeout
        self._plain_gettimeout: Method = kind.gettimeout
        self._plain_setblocking: Method = kind.setblocking

    def install(self) -> None:
        """Have the methods of the class look into the table."""
        for name in ("_accept", "_real_close", "dup", "getsockname", "getsockopt", "setsockopt"):
            _put(self._kind, name, self._where_known(name))
        for name in ("connect", "connect_ex"):
            _put(self._kind, name, self._connecting(name))
        for name in ("settimeout", "setblocking", "gettimeout"):
            _put(self._kind, name, getattr(self, f"_{name}")())
        self._kind.timeout = property(self._kind.gettimeout)

    def wait_for_datagrams(self) -> None:
        """Have them be waited for without end. Only where a script serves such a socket: all of
        the class pay for it."""
        if not self._is_patient:
            self._is_patient = True
            for name in _RECEIVING:
                _put(self._kind, name, self._patient(name))

    def _where_known(self, name: str) -> Method:
        """The method ``name``: this class's own for a socket of the table."""
        plain: Method = getattr(self._kind, name)
        special: Method = getattr(self, f"_known_{name.removeprefix('_')}")
        copies, known = self._copies, self._owner.known

        def method(sock: Any, *args: Any) -> Any:
            fd = sock.fileno()
            if fd in copies and (copy := known(fd)) is not None:
                return special(plain, copy, sock, *args)
            return plain(sock, *args)

        return method

    def _connecting(self, name: str) -> Method:
        """A socket that connects is a client's, and no more in the table."""
        plain: Method = getattr(self._kind, name)

        def method(sock: Any, address: Any, /) -> Any:
            fd = sock.fileno()
            if fd in self._copies and (copy := self._owner.known(fd)):
                if copy.stage is PortZeroStage.UNDECIDED:
                    self._owner.undecide(fd)
                else:
                    self._owner.make_private(sock)
            return plain(sock, address)

        return method

    def _patient(self, name: str) -> Method:
        """The method ``name``, that waits without end if the script has set no timeout."""
        plain: Method = getattr(self._kind, name)

        def method(sock: Any, *args: Any, **keywords: Any) -> Any:
            if sock.fileno() not in self._copies:
                return plain(sock, *args, **keywords)
            return self._patiently(plain, sock, *args, **keywords)

        return method

    # Timeouts.

    def _settimeout(self) -> Method:
        plain, is_shared = self._plain_settimeout, self._is_shared

        def settimeout(sock: Any, value: float | None, /) -> None:
            plain(sock, _NO_TIMEOUT if value is None and is_shared(sock, new=True) else value)

        return settimeout

    def _setblocking(self) -> Method:
        plain, settimeout = self._plain_setblocking, self._plain_settimeout

        def setblocking(sock: Any, flag: bool, /) -> None:
            if flag and self._is_shared(sock, new=True):
                settimeout(sock, _NO_TIMEOUT)
            else:
                plain(sock, flag)

        return setblocking

    def _gettimeout(self) -> Method:
        plain = self._plain_gettimeout

        def gettimeout(sock: Any, /) -> float | None:
            value: float | None = plain(sock)
            return None if value == _NO_TIMEOUT and self._is_shared(sock) else value

        return gettimeout

    def _is_shared(self, sock: Any, *, new: bool = False) -> bool:
        fd = sock.fileno()
        if fd in self._copies and (copy := self._owner.known(fd)):
            return copy.stage is not PortZeroStage.UNDECIDED
        return new and self._owner.adopt(fd)

    # Sockets of the table.

    def _known_accept(self, plain: Method, copy: Copy, sock: Any) -> tuple[int, Any]:
        if copy.stage is PortZeroStage.RECEIVED:
            return self._owner.accept(sock.fileno(), sock.gettimeout())
        accepted: tuple[int, Any] = self._patiently(plain, sock)
        return accepted

    def _patiently(self, plain: Method, sock: Any, *args: Any, **keywords: Any) -> Any:
        if self._plain_gettimeout(sock) is None:  # an object that was made of the descriptor
            self._plain_settimeout(sock, _NO_TIMEOUT)
        while True:
            try:
                return plain(sock, *args, **keywords)
            except TimeoutError:
                if self._plain_gettimeout(sock) != _NO_TIMEOUT:
                    raise

    def _known_real_close(self, plain: Method, copy: Copy, sock: Any, *args: Any) -> None:
        self._owner.forget(sock.fileno(), lambda: plain(sock, *args))

    def _known_getsockname(self, plain: Method, copy: Copy, sock: Any) -> Any:
        if copy.stage is PortZeroStage.UNDECIDED:
            if _is_connected(sock):  # past Python's own class
                self._owner.undecide(sock.fileno())
            else:
                self._owner.share_port_zero(sock)
        if copy.name is None:
            name = plain(sock)
            # `SocketPatches.end` sets copy.name before it replaces the socket.
            if copy.name is None:
                return name
        return copy.name

    def _known_getsockopt(self, plain: Method, copy: Copy, sock: Any, *args: Any) -> Any:
        if args == (socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and not copy.listens:
            return 0
        return self._asked(plain, copy, sock)(*args)

    def _known_setsockopt(self, plain: Method, copy: Copy, sock: Any, *args: Any) -> None:
        self._asked(plain, copy, sock)(*args)

    def _asked(self, plain: Method, copy: Copy, sock: Any) -> Method:
        """What has the options: a desk is no socket."""
        if copy.stage is not PortZeroStage.RECEIVED:
            return lambda *args: plain(sock, *args)
        handle = self._owner.handle(sock.fileno())
        return lambda *args: plain(handle, *args)

    def _known_dup(self, plain: Method, copy: Copy, sock: Any) -> Any:
        if copy.stage is not PortZeroStage.RECEIVED:
            return plain(sock)
        fd: int = sock.fileno()
        made = plain(self._owner.handle(fd))  # a socket, or its family could not be asked for
        os.dup2(fd, made.fileno(), inheritable=False)
        self._owner.on_dup(fd, made.fileno())
        made.settimeout(sock.gettimeout())
        return made


def _is_connected(sock: Any) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
