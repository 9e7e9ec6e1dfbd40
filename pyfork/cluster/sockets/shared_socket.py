"""Methods of Python's socket class for sockets that several processes share.

``O_NONBLOCK`` is a property of the shared open file, so one process would set it for all. If it
were off, two of three workers woken by one connection would hang in accept(). So it is always on,
without a gap: a booting worker must not block a serving one. Python turns it off only for a socket
without a timeout. A socket that the script believes to be blocking therefore gets a very long
timeout, and retries when that expires.

A socket keeps its identity and its class, since multiprocessing and trio require exactly that
class. The methods of the class look up the descriptor in a table. Other sockets pay for one lookup
in open, close and getsockname(), and for none in send and receive.
"""

import os
import socket
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol

from pyfork.cluster.sockets.fd_table import FdStage, FdTable, SharedFd

_RECEIVE_METHODS = ("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into")
_NO_TIMEOUT = (
    # seconds; just below a C int of milliseconds, and unlikely as a script's own choice
    2_147_000.25
)

Method = Callable[..., Any]


class Owner(Protocol):
    """Performs what the methods detect."""

    def share_port_zero(self, sock: Any) -> None:
        """The script asks for the port that the kernel chose."""

    def make_private(self, sock: Any) -> None:
        """The script connects a shared socket."""

    def forget(self, fd: int, close: Callable[[], object]) -> None:
        """The script closes ``fd``; ``close`` does so."""

    def accept(self, fd: int, timeout: float | None) -> tuple[int, Any]:
        """The script accepts from an epoll."""

    def handle(self, fd: int) -> socket.socket:
        """Return the listener that an epoll has replaced."""


def keep_nonblocking(sock: Any) -> None:
    """Keep the timeout that the script has set, and O_NONBLOCK on."""
    sock.settimeout(sock.gettimeout())


def _replace_method(kind: Any, name: str, method: Method) -> None:
    setattr(kind, name, wraps(getattr(kind, name))(method))


class SocketMethods:
    """The patched methods of one socket class; they call the original ones."""

    def __init__(self, owner: Owner, fds: FdTable, kind: Any) -> None:
        self._owner = owner
        self._retries_receive = False
        self._fds = fds
        self._socket_class = kind
        self._plain_settimeout: Method = kind.settimeout
        self._plain_gettimeout: Method = kind.gettimeout
        self._plain_setblocking: Method = kind.setblocking

    def install(self) -> None:
        """Replace the methods of the class."""
        for name in ("_accept", "_real_close", "dup", "getsockname", "getsockopt", "setsockopt"):
            _replace_method(self._socket_class, name, self._if_shared(name))
        for name in ("connect", "connect_ex"):
            _replace_method(self._socket_class, name, self._connecting(name))
        for name in ("settimeout", "setblocking", "gettimeout"):
            _replace_method(self._socket_class, name, getattr(self, f"_{name}")())
        self._socket_class.timeout = property(self._socket_class.gettimeout)

    def wait_for_datagrams(self) -> None:
        """Patch the receive methods too: a script serves a datagram socket.

        All sockets of the class pay for this, so only such a script does it.
        """
        if not self._retries_receive:
            self._retries_receive = True
            for name in _RECEIVE_METHODS:
                _replace_method(self._socket_class, name, self._retrying(name))

    def _if_shared(self, name: str) -> Method:
        """Return the method ``name`` that treats descriptors of the table differently."""
        plain: Method = getattr(self._socket_class, name)
        special: Method = getattr(self, f"_known_{name.removeprefix('_')}")
        entries, entry_at = self._fds.entries, self._fds.at

        def method(sock: Any, *args: Any) -> Any:
            fd = sock.fileno()
            if fd in entries and (copy := entry_at(fd)) is not None:
                return special(plain, copy, sock, *args)
            return plain(sock, *args)

        return method

    def _connecting(self, name: str) -> Method:
        """Return the method ``name`` that takes a connecting socket out of the table."""
        plain: Method = getattr(self._socket_class, name)

        def method(sock: Any, address: Any, /) -> Any:
            fd = sock.fileno()
            if fd in self._fds.entries and (copy := self._fds.at(fd)):
                if copy.stage is FdStage.PORT_ZERO:
                    self._fds.remove(fd)
                else:
                    self._owner.make_private(sock)
            return plain(sock, address)

        return method

    def _retrying(self, name: str) -> Method:
        """Return the method ``name`` that retries while the script has set no timeout."""
        plain: Method = getattr(self._socket_class, name)

        def method(sock: Any, *args: Any, **keywords: Any) -> Any:
            if sock.fileno() not in self._fds.entries:
                return plain(sock, *args, **keywords)
            return self._call_with_retry(plain, sock, *args, **keywords)

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
        if fd in self._fds.entries and (copy := self._fds.at(fd)):
            return copy.stage is not FdStage.PORT_ZERO
        return new and self._fds.register_duplicate(fd)

    # Methods for descriptors of the table.

    def _known_accept(self, plain: Method, copy: SharedFd, sock: Any) -> tuple[int, Any]:
        if copy.stage is FdStage.ACCEPT_EPOLL:
            return self._owner.accept(sock.fileno(), sock.gettimeout())
        accepted: tuple[int, Any] = self._call_with_retry(plain, sock)
        return accepted

    def _call_with_retry(self, plain: Method, sock: Any, *args: Any, **keywords: Any) -> Any:
        if self._plain_gettimeout(sock) is None:  # an object made from the descriptor number
            self._plain_settimeout(sock, _NO_TIMEOUT)
        while True:
            try:
                return plain(sock, *args, **keywords)
            except TimeoutError:
                if self._plain_gettimeout(sock) != _NO_TIMEOUT:
                    raise

    def _known_real_close(self, plain: Method, copy: SharedFd, sock: Any, *args: Any) -> None:
        self._owner.forget(sock.fileno(), lambda: plain(sock, *args))

    def _known_getsockname(self, plain: Method, copy: SharedFd, sock: Any) -> Any:
        if copy.stage is FdStage.PORT_ZERO:
            if _is_connected(sock):  # connected in C
                self._fds.remove(sock.fileno())
            else:
                self._owner.share_port_zero(sock)
        if copy.name is not None:
            return copy.name
        name = plain(sock)
        return name if copy.name is None else copy.name  # set meanwhile: `SocketPatches.end`

    def _known_getsockopt(self, plain: Method, copy: SharedFd, sock: Any, *args: Any) -> Any:
        if args == (socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and not copy.listens:
            return 0
        return self._option_method(plain, copy, sock)(*args)

    def _known_setsockopt(self, plain: Method, copy: SharedFd, sock: Any, *args: Any) -> None:
        self._option_method(plain, copy, sock)(*args)

    def _option_method(self, plain: Method, copy: SharedFd, sock: Any) -> Method:
        """Return the option method of the listener: an epoll has no options."""
        if copy.stage is not FdStage.ACCEPT_EPOLL:
            return lambda *args: plain(sock, *args)
        handle = self._owner.handle(sock.fileno())
        return lambda *args: plain(handle, *args)

    def _known_dup(self, plain: Method, copy: SharedFd, sock: Any) -> Any:
        if copy.stage is not FdStage.ACCEPT_EPOLL:
            return plain(sock)
        fd: int = sock.fileno()
        made = plain(self._owner.handle(fd))  # a socket: dup() asks for its family
        os.dup2(fd, made.fileno(), inheritable=False)
        self._fds.entries[made.fileno()] = copy
        made.settimeout(sock.gettimeout())
        return made


def _is_connected(sock: Any) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
