"""Replacements for what a script's sockets do.

    bind()          to a port or a path: ask the arbiter for the handle and put it under the
                    script's descriptor. As in Node, bind() and not listen() does this: here the
                    script expects the error, asks for its address next, and a datagram socket
                    begins to receive
    bind()          to port 0: bind in this process alone, since a client may do so to choose its
                    interface. The socket becomes shared when the script asks for the port or
                    listens
    listen()        the first one makes the handle listen. Where connections must be seen, an
                    `AcceptEpoll` replaces the listener
    accept()        accept from the epoll
    connect()       on a shared socket: the script is a client; make the socket private
    os.unlink()     of a socket file that the arbiter holds: do nothing. Scripts remove the file
                    before they bind and at their end

Rules: errors are those of the original functions; only addresses are inspected.
"""

import errno
import logging
import os
import socket
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import count
from typing import Any, Protocol

from pyfork.cluster import is_exclusive, socket_files
from pyfork.cluster.script.arbiter_client import ArbiterGone
from pyfork.cluster.sockets.accept_epoll import Accepted, EpollAcceptor
from pyfork.cluster.sockets.accept_manager import AcceptManager
from pyfork.cluster.sockets.bind_target import BindTarget, bind_target, is_internal
from pyfork.cluster.sockets.child_epoll import ChildEpolls
from pyfork.cluster.sockets.fd_table import FdStage, FdTable, SharedFd, inode_of
from pyfork.cluster.sockets.shared_socket import SocketMethods, keep_nonblocking
from pyfork.ipc.messages import (
    FileAnswer,
    FileQuery,
    Message,
    QueryServer,
    ScriptClosed,
    ScriptListening,
    ServerHandle,
)
from pyfork.record import entity, field, record

log = logging.getLogger("pyfork.error")

Bind = Callable[[Any, Any], None]
Listen = Callable[..., None]


class ArbiterCalls(Protocol):
    """A client of the arbiter: `ArbiterClient` or `RelayedClient`."""

    gone: bool

    def send(self, message: Message) -> None:
        """Send ``message``; no answer is expected."""

    def call(
        self, request: Callable[[int], Message], fds: Sequence[int] = ()
    ) -> tuple[Message, tuple[int, ...]]:
        """Send a request and wait for its answer. Raises ArbiterGone."""


@record
class BindFailure:
    """The last bind() that failed."""

    text: str
    error: OSError


@entity(kw_only=True)
class SocketPatches:
    """The patched socket functions of one process.

    Args:
        exclusive: ports and addresses, as text, that are not shared.
        serving: called after each listen(), and when a datagram socket is bound.
        accept_manager: accepts connections; None: the script accepts by itself, unseen.
        dispatch: the policy for a socket with an epoll.
        used: whether a child of this worker may have a copy of a handle.
    """

    arbiter: ArbiterCalls
    exclusive: frozenset[str]
    serving: Callable[[], None]
    accept_manager: AcceptManager | None = None
    dispatch: str = "shared"
    used: Callable[[str], bool] = lambda key: False
    is_child: bool = False  # a child of the worker, not the worker
    child_epolls: ChildEpolls | None = None  # those of the worker, in a child
    bind_failure: BindFailure | None = None
    handed_over: int = -1  # the descriptor of a connection for which the script forks a child
    _bind: Bind = socket.socket.bind
    _listen: Listen = socket.socket.listen
    fds: FdTable = field(default_factory=FdTable)
    _sockets: SocketMethods = field(init=False)
    _paths: set[str] = field(default_factory=set)  # socket files that the arbiter has made
    _port_zero_counts: dict[str, int] = field(
        default_factory=dict
    )  # how many a script has had of port 0

    def __post_init__(self) -> None:
        self._sockets = SocketMethods(self, self.fds, socket.socket)

    def install(self) -> None:
        """Patch the socket class of this process."""
        bind, listen = socket.socket.bind, socket.socket.listen

        @wraps(bind)
        def shared_bind(sock: Any, address: Any, /) -> None:
            self.bind(sock, address, bind)

        @wraps(listen)
        def shared_listen(sock: Any, *backlog: int) -> None:
            self.listen(sock, sock, *backlog)

        socket.socket.bind = shared_bind  # type: ignore[method-assign]
        socket.socket.listen = shared_listen  # type: ignore[method-assign]
        self._sockets.install()
        socket_files.guard(self._is_arbiters_file, self._paths)

    # Replacements of socket methods.

    def bind(self, sock: Any, address: Any, bind: Bind) -> None:
        """Bind ``sock`` to a handle of the arbiter; ``bind`` is the original method."""
        if self.arbiter.gone or is_exclusive.get() or is_internal(sock.family, address):
            return bind(sock, address)
        target = bind_target(sock.family, sock.type, address)
        if target is None or self._is_exclusive(target):
            return bind(sock, address)
        try:
            if target.port == 0:
                bind(sock, address)
                if sock.type == socket.SOCK_STREAM:
                    self.fds.add(sock.fileno(), "", FdStage.PORT_ZERO)
                return None
            return self._share(sock, target)
        except ArbiterGone:
            return bind(sock, address)
        except OSError as error:
            self.bind_failure = BindFailure(target.text, error)
            raise

    def listen(self, sock: Any, inner: Any, *backlog: int) -> None:
        """Listen on ``sock``; ``inner`` is Python's own socket in it, or ``sock`` itself."""
        entry = self.fds.at(sock.fileno())
        if entry is not None and entry.stage is FdStage.PORT_ZERO:
            self.share_port_zero(sock)
        copy, epoll = self.fds.shared_at(sock.fileno()), self.epoll_at(sock.fileno())
        try:
            self._listen(epoll.handle if epoll else inner, *backlog)
        except OSError as error:
            self.bind_failure = BindFailure(_address_text(sock), error)
            raise
        if copy:
            copy.listens = True
            if self.accept_manager and copy.stage is not FdStage.ACCEPT_EPOLL:
                epoll = self.accept_manager.open(copy.key, sock.fileno())
                self._install_epoll(sock.fileno(), copy, epoll)
            policy = self.dispatch if self.accept_manager else "shared"
            self.arbiter.send(ScriptListening(copy.key, policy))
        elif is_internal(sock.family, sock.getsockname()):
            return
        self.serving()

    def share_port_zero(self, sock: Any) -> None:
        """Share a socket that was bound to port 0: the script uses it as a server."""
        self.fds.remove(sock.fileno())
        host, _, *rest = sock.getsockname()
        target = bind_target(sock.family, sock.type, (host, 0, *rest))
        assert target
        number = self._port_zero_counts[target.key] = self._port_zero_counts.get(target.key, 0) + 1
        target = BindTarget(f"{target.key}#{number}", target.address, target.text, port=0)
        fresh = _socket_like(sock)
        try:
            self._share(fresh, target)
            os.dup2(fresh.fileno(), sock.fileno(), inheritable=False)
            self.fds.entries[sock.fileno()] = self.fds.entries.pop(fresh.fileno())
        finally:
            fresh.close()
        keep_nonblocking(sock)

    def make_private(self, sock: Any) -> None:
        """Make a shared socket private on the same address: the script connects it."""
        address, timeout, fresh = sock.getsockname(), sock.gettimeout(), _socket_like(sock)
        fd = sock.fileno()
        with fresh:
            self.forget(fd, lambda: os.dup2(fresh.fileno(), fd, inheritable=False))
        sock.settimeout(timeout)
        # wait until the arbiter has closed the handle
        self.arbiter.call(lambda number: FileQuery(number, ""))
        self._bind(sock, address)

    def forget(self, fd: int, close: Callable[[], object] = lambda: None) -> None:
        """Call ``close``, which closes ``fd``; then tell the arbiter.

        In this order, or the arbiter would believe that the address is free.
        """
        copy = self.fds.remove(fd)
        close()
        if copy and copy.key and not self.fds.has_handle(copy.key):
            if epolls := self._epolls:
                epolls.close(copy.key)
            kept = self.accept_manager is not None and self.accept_manager.is_inherited(copy.key)
            if not (copy.is_inherited or kept or self.used(copy.key)):
                self.arbiter.send(ScriptClosed(copy.key))

    def use_in_child(self, arbiter: ArbiterCalls) -> None:
        """Switch to ``arbiter`` in a child of the worker. The child opens no epoll of its own."""
        self.arbiter, self.is_child = arbiter, True
        self.serving = lambda: None
        for copy in self.fds.entries.values():
            copy.is_inherited = True
        if self.accept_manager:
            self.child_epolls = self.accept_manager.in_child(arbiter.call)
            self.accept_manager = None
        elif self.child_epolls:
            self.child_epolls.use_in_child()

    def on_fork(self) -> None:
        """The script has forked."""
        if self.accept_manager:
            self.accept_manager.on_fork()

    def sent_epoll(self, fd: int) -> EpollAcceptor | None:
        """Return the epoll under ``fd``, which is being sent to a child, if there is one."""
        self.on_fork()
        return self.epoll_at(fd) if self.fds.shared_at(fd) else None

    def register_epoll(self, sock: Any, key: str, epoll: int, probe: int, state: int) -> None:
        """Put an epoll under ``sock``, a copy of the handle ``key``; another process sent both."""
        self.register(sock, key)
        self.child_epolls = self.child_epolls or ChildEpolls(self.arbiter.call)
        fd = sock.fileno()
        made = self.child_epolls.add_sent(
            key, socket.socket(fileno=os.dup(fd)), epoll, probe, state
        )
        self._install_epoll(fd, self.fds.entries[fd], made)

    def register(self, sock: Any, key: str, *, listens: bool = True) -> None:
        """Add ``sock``, a copy of the handle ``key`` that another process of this worker sent."""
        is_stream = sock.type == socket.SOCK_STREAM
        self.fds.add(sock.fileno(), key, is_stream=is_stream, listens=listens)
        keep_nonblocking(sock)
        if sock.type == socket.SOCK_DGRAM:
            self._sockets.wait_for_datagrams()

    def is_known(self, inode: int) -> bool:
        """Whether the socket ``inode`` is a shared one."""
        if self.accept_manager and inode in self.accept_manager.inodes():
            return True
        return self.fds.has_inode(inode)

    def end(self, fd: int, dummy: socket.socket) -> None:
        """Replace the listener under ``fd`` by ``dummy``. The script still gets the old name.

        A thread of the script may be inside getsockname(). So the name is in both entries, and the
        new entry fits both sockets, before dup2().
        """
        old = self.fds.entries[fd]
        with socket.socket(fileno=os.dup(fd)) as listener:
            old.name = listener.getsockname()
        self.fds.entries[fd] = SharedFd(
            old.key,
            inode_of(dummy.fileno()),
            is_stream=True,
            stage=FdStage.DUMMY,
            name=old.name,
            replaced_inode=old.inode,
        )
        os.dup2(dummy.fileno(), fd, inheritable=False)

    # Accept epolls.

    @property
    def _epolls(self) -> AcceptManager | ChildEpolls | None:
        return self.child_epolls or self.accept_manager

    def epoll_at(self, fd: int) -> EpollAcceptor | None:
        """Return the epoll under ``fd``, if there is one."""
        copy, epolls = self.fds.entries.get(fd), self._epolls
        if not (copy and epolls and copy.stage is FdStage.ACCEPT_EPOLL):
            return None
        return epolls.epoll(copy.key)

    def accept(self, fd: int, timeout: float | None) -> Accepted:
        """Accept from the epoll under ``fd``. Raises OSError."""
        return self._require_epoll(fd).accept(timeout)

    def handle(self, fd: int) -> socket.socket:
        """Return the listener that the epoll under ``fd`` has replaced. Raises OSError."""
        return self._require_epoll(fd).handle

    def _require_epoll(self, fd: int) -> EpollAcceptor:
        epoll = self.epoll_at(fd)
        if epoll is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return epoll

    def _install_epoll(self, fd: int, copy: SharedFd, epoll: EpollAcceptor) -> None:
        """Replace the listener under ``fd`` by ``epoll``."""
        os.dup2(epoll.fileno(), fd, inheritable=os.get_inheritable(fd))
        copy.inode, copy.stage, copy.name = inode_of(fd), FdStage.ACCEPT_EPOLL, epoll.name

    # Shared handles.

    def _share(self, sock: Any, target: BindTarget) -> None:
        """Put the handle for ``target`` under the descriptor of ``sock``. Raises OSError,
        ArbiterGone.
        """
        self._forget_closed()
        if self.fds.has_handle(target.key):
            target = self._second_key(sock, target)
        umask = socket_files.umask() if target.path else 0
        answer, fds = self.arbiter.call(
            lambda number: QueryServer(number, target.key, target.address, umask),
            [sock.fileno()],
        )
        assert isinstance(answer, ServerHandle)
        if not fds:
            number = answer.errno or errno.EMFILE
            raise OSError(number, answer.reason or os.strerror(number))
        if target.path:
            self._paths.add(target.path)
        fd = sock.fileno()
        try:
            os.dup2(fds[0], fd, inheritable=os.get_inheritable(fd))
        finally:
            os.close(fds[0])
        self.register(sock, target.key, listens=False)
        if sock.type == socket.SOCK_DGRAM:
            self.arbiter.send(ScriptListening(target.key))
            self.serving()

    def _second_key(self, sock: Any, target: BindTarget) -> BindTarget:
        """Return the target for a second socket on an address of this process. Raises OSError.

        Multicast (mDNS, SSDP) binds several datagram sockets to one port; each gets every
        datagram.
        """
        if sock.type == socket.SOCK_DGRAM and _has_option(sock, socket.SO_REUSEADDR):
            numbered = (f"{target.key}#{number}" for number in count(2))
            key = next(each for each in numbered if not self.fds.has_handle(each))
            return BindTarget(key, target.address, target.text, target.path, target.port)
        if not _has_option(sock, getattr(socket, "SO_REUSEPORT", None)):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return target

    def _is_arbiters_file(self, path: str) -> bool:
        """Whether the arbiter has made the socket file at ``path``. Raises ArbiterGone."""
        if self.arbiter.gone:
            return False
        answer, _ = self.arbiter.call(lambda number: FileQuery(number, path))
        return isinstance(answer, FileAnswer) and answer.held

    def _forget_closed(self) -> None:
        """Forget descriptors that were closed without our methods."""
        for fd in self.fds.closed_fds():
            self.forget(fd)

    def _is_exclusive(self, target: BindTarget) -> bool:
        names = {target.text, target.path, "" if target.port is None else str(target.port)}
        return bool(self.exclusive & names)


def _socket_like(sock: Any) -> socket.socket:
    """Make a socket of the same kind, with the options that decide about sharing an address."""
    fresh = socket.socket(sock.family, sock.type, sock.proto)
    options = [(socket.SOL_SOCKET, socket.SO_REUSEADDR)]
    if sock.family == socket.AF_INET6:
        options.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    for level, option in options:
        fresh.setsockopt(level, option, sock.getsockopt(level, option))
    return fresh


def _has_option(sock: Any, option: int | None) -> bool:
    return option is not None and bool(sock.getsockopt(socket.SOL_SOCKET, option))


def _address_text(sock: Any) -> str:
    name = sock.getsockname()
    target = bind_target(sock.family, sock.type, name)
    return target.text if target else str(name)
