"""What a script's sockets do in place of what they would have done.

    bind()          to a port or a path: the arbiter is asked, and the handle put under the
                    script's own file descriptor. Here and not at listen(), as in Node, since
                    here is where a script expects the error, asks for its address next, and
                    where a datagram socket begins to serve
    bind()          to port 0: bound by this process alone, for it may well be a client that
                    chooses its interface. Shared when the script asks for the port or listens
    listen()        the script's own: the first one makes the handle listen. Where connections are
                    to be seen, a `AcceptEpoll` is put in the place of the listener then
    accept()        at a desk
    connect()       of a shared socket: it was a client's after all, and becomes private
    os.unlink()     of a socket file that the arbiter holds: nothing. Scripts remove what the
                    last run has left before they bind, and what they have bound at the end

Rules: errors are those that the script would have got; nothing is looked at but addresses.
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
from pyfork.cluster.sockets.accept_epoll import Accepted, AcceptEpoll
from pyfork.cluster.sockets.accept_manager import AcceptManager
from pyfork.cluster.sockets.bind_key import BindKey, is_internal, place
from pyfork.cluster.sockets.shared_socket import Copy, PortZeroStage, Sockets, harden
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


class Asks(Protocol):
    """A way to the arbiter: a `Link`, or a `FarLink`."""

    gone: bool

    def send(self, message: Message) -> None:
        """Tell it."""

    def call(
        self, question: Callable[[int], Message], fds: Sequence[int] = ()
    ) -> tuple[Message, tuple[int, ...]]:
        """Wait for its answer. Raises ArbiterGone."""


@record
class BindFailure:
    """The last address that was not to be had."""

    text: str
    error: OSError


@entity(kw_only=True)
class SocketPatches:
    """The hooks of one process.

    Args:
        exclusive: ports and addresses, as text, that are not to be shared.
        serving: called at each listen(), after it, or when a datagram socket is bound.
        reception: where connections are accepted; None: where the script does, unseen.
        dispatch: what the arbiter is to do for a socket with a desk.
        used: whether another process of this worker's may have a copy of that handle.
    """

    link: Asks
    exclusive: frozenset[str]
    serving: Callable[[], None]
    reception: AcceptManager | None = None
    dispatch: str = "shared"
    used: Callable[[str], bool] = lambda key: False
    is_child: bool = False  # of the worker that the arbiter knows
    refusal: BindFailure | None = None
    _bind: Bind = socket.socket.bind
    _listen: Listen = socket.socket.listen
    copies: dict[int, Copy] = field(default_factory=dict)  # by fd
    _sockets: Sockets = field(init=False)
    _paths: set[str] = field(default_factory=set)  # of socket files that the arbiter has made
    _zeros: dict[str, int] = field(default_factory=dict)  # how many a script has had of port 0

    def __post_init__(self) -> None:
        self._sockets = Sockets(self, socket.socket)

    def install(self) -> None:
        """From now on, for all sockets of this process."""
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
        socket_files.guard(self._holds, self._paths)

    # The verbs.

    def bind(self, sock: Any, address: Any, bind: Bind) -> None:
        """Bind ``sock``; ``bind`` is what it would have done."""
        if self.link.gone or is_exclusive.get() or is_internal(sock.family, address):
            return bind(sock, address)
        where = place(sock.family, sock.type, address)
        if where is None or self._is_exclusive(where):
            return bind(sock, address)
        try:
            if where.port == 0:
                bind(sock, address)
                if sock.type == socket.SOCK_STREAM:
                    self._note(sock.fileno(), "", PortZeroStage.UNDECIDED)
                return None
            return self._share(sock, where)
        except ArbiterGone:
            return bind(sock, address)
        except OSError as error:
            self.refusal = BindFailure(where.text, error)
            raise

    def listen(self, sock: Any, inner: Any, *backlog: int) -> None:
        """Listen on ``sock``; ``inner`` is Python's own socket in it, or itself."""
        known = self.known(sock.fileno())
        if known is not None and known.stage is PortZeroStage.UNDECIDED:
            self.share_port_zero(sock)
        copy, desk = self.handle_at(sock.fileno()), self.desk(sock.fileno())
        try:
            self._listen(desk.handle if desk else inner, *backlog)
        except OSError as error:
            self.refusal = BindFailure(_shown(sock), error)
            raise
        if copy:
            copy.listens = True
            seen = self.reception is not None and not self.is_child
            if seen and desk is None:
                self._receive(sock.fileno(), copy)
            self.link.send(ScriptListening(copy.key, self.dispatch if seen else "shared"))
        elif is_internal(sock.family, sock.getsockname()):
            return
        self.serving()

    def share_port_zero(self, sock: Any) -> None:
        """A socket that was bound to port 0 is a server's: share it."""
        self.undecide(sock.fileno())
        host, _, *rest = sock.getsockname()
        where = place(sock.family, sock.type, (host, 0, *rest))
        assert where
        number = self._zeros[where.key] = self._zeros.get(where.key, 0) + 1
        where = BindKey(f"{where.key}#{number}", where.address, where.text, port=0)
        fresh = _like(sock)
        try:
            self._share(fresh, where)
            os.dup2(fresh.fileno(), sock.fileno(), inheritable=False)
            self.copies[sock.fileno()] = self.copies.pop(fresh.fileno())
        finally:
            fresh.close()
        harden(sock)

    def undecide(self, fd: int) -> None:
        """A socket that was bound to port 0 is a client's, or known to be a server's."""
        self.copies.pop(fd, None)

    def make_private(self, sock: Any) -> None:
        """A shared socket is a client's: give it an own one on the same address."""
        address, timeout, fresh = sock.getsockname(), sock.gettimeout(), _like(sock)
        fd = sock.fileno()
        with fresh:
            self.forget(fd, lambda: os.dup2(fresh.fileno(), fd, inheritable=False))
        sock.settimeout(timeout)
        self.link.call(lambda number: FileQuery(number, ""))  # until the arbiter has let go
        self._bind(sock, address)

    def forget(self, fd: int, close: Callable[[], object] = lambda: None) -> None:
        """The script closes ``fd``, by ``close``. The arbiter hears so afterwards, and not before:
        it would believe that the address is free."""
        copy = self.copies.pop(fd, None)
        close()
        if copy and copy.key and copy.key not in self._keys():
            if self.reception:
                self.reception.close(copy.key)
            if not self.used(copy.key):
                self.link.send(ScriptClosed(copy.key))

    def lend(self, link: Asks) -> None:
        """This process is a child of the worker, and asks by ``link``. Desks that it has inherited
        are the worker's too; it opens none of its own."""
        self.link, self.is_child = link, True
        self.serving = lambda: None
        if self.reception:
            self.reception.lend()

    def hand_out(self, fd: int) -> socket.socket | None:
        """Where another process may accept what comes at the desk under ``fd``, if one is there.
        The arbiter does not know of that process, and gives this one nothing any more."""
        copy, desk = self.handle_at(fd), self.desk(fd)
        if copy is None or desk is None:
            return None
        if self.dispatch == "round-robin":
            self.link.send(ScriptClosed(copy.key))
            self.link.send(ScriptListening(copy.key))
            desk.lend(copy.key)
        return desk.handle

    def keeps(self, key: str) -> bool:
        """Whether the script has a copy of that handle."""
        return key in self._keys()

    def note(self, sock: Any, key: str, *, listens: bool = True) -> None:
        """``sock`` has come from another process of this worker's, as a copy of that handle."""
        is_stream = sock.type == socket.SOCK_STREAM
        self._note(sock.fileno(), key, PortZeroStage.SHARED, is_stream=is_stream, listens=listens)
        harden(sock)
        if sock.type == socket.SOCK_DGRAM:
            self._sockets.wait_for_datagrams()

    def known(self, fd: int) -> Copy | None:
        """Return the entry of ``fd`` if its socket is still the one in the table.

        `end` may replace both at any time, in another thread: then look again.
        """
        while copy := self.copies.get(fd):
            if _inode(fd) in (copy.inode, copy.replaced_inode):
                return copy
            if self.copies.get(fd) is copy:
                break
        return None

    def handle_at(self, fd: int) -> Copy | None:
        """The handle under ``fd``, if there is one."""
        copy = self.known(fd)
        return None if copy is None or copy.stage is PortZeroStage.UNDECIDED else copy

    def adopt(self, fd: int) -> bool:
        """Whether ``fd`` is a duplicate of a shared socket; it is in the table then."""
        inode = _inode(fd)
        for copy in list(self.copies.values()):
            if inode and copy.inode == inode and copy.stage is not PortZeroStage.UNDECIDED:
                self.copies[fd] = copy
                return True
        return False

    def is_known(self, inode: int) -> bool:
        """Whether this socket came this way."""
        if self.reception and inode in self.reception.inodes():
            return True
        return any(copy.inode == inode for copy in list(self.copies.values()))

    def streams(self) -> list[int]:
        """The descriptors on which connections come."""
        return [
            fd for fd, copy in list(self.copies.items()) if copy.is_stream and self.handle_at(fd)
        ]

    def end(self, fd: int, dead: socket.socket) -> None:
        """Replace the listener under ``fd`` by ``dead``. The script still gets the old name.

        A thread of the script may be inside getsockname(). So the name is in both entries, and
        the new entry fits both sockets, before dup2().
        """
        old = self.copies[fd]
        with socket.socket(fileno=os.dup(fd)) as listener:
            old.name = listener.getsockname()
        self.copies[fd] = Copy(
            old.key,
            _inode(dead.fileno()),
            is_stream=True,
            stage=PortZeroStage.ENDED,
            name=old.name,
            replaced_inode=old.inode,
        )
        os.dup2(dead.fileno(), fd, inheritable=False)

    # At a desk.

    def desk(self, fd: int) -> AcceptEpoll | None:
        """The one under ``fd``, if there is one."""
        copy = self.copies.get(fd)
        return self.reception.desk(copy.key) if copy and self.reception else None

    def accept(self, fd: int, timeout: float | None) -> Accepted:
        """As a socket's own. Raises OSError."""
        return self._desk(fd).accept(timeout)

    def handle(self, fd: int) -> socket.socket:
        """What listens, for whoever has questions to it. Raises OSError."""
        return self._desk(fd).handle

    def on_dup(self, fd: int, new: int) -> None:
        """The script has made a duplicate."""
        self.copies[new] = self.copies[fd]

    def _desk(self, fd: int) -> AcceptEpoll:
        desk = self.desk(fd)
        if desk is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return desk

    def _receive(self, fd: int, copy: Copy) -> None:
        """Put a desk in the place of the listener."""
        assert self.reception is not None
        desk = self.reception.desk(copy.key) or self.reception.open(copy.key, fd)
        os.dup2(desk.fileno(), fd, inheritable=os.get_inheritable(fd))
        copy.inode, copy.stage, copy.name = _inode(fd), PortZeroStage.RECEIVED, desk.name

    # How.

    def _share(self, sock: Any, where: BindKey) -> None:
        """Put the handle under the descriptor of ``sock``. Raises OSError, ArbiterGone."""
        self._collect()
        if where.key in self._keys():
            where = self._another(sock, where)
        umask = socket_files.umask() if where.path else 0
        answer, fds = self.link.call(
            lambda number: QueryServer(number, where.key, where.address, umask),
            [sock.fileno()],
        )
        assert isinstance(answer, ServerHandle)
        if not fds:
            number = answer.errno or errno.EMFILE
            raise OSError(number, answer.reason or os.strerror(number))
        if where.path:
            self._paths.add(where.path)
        fd = sock.fileno()
        try:
            os.dup2(fds[0], fd, inheritable=os.get_inheritable(fd))
        finally:
            os.close(fds[0])
        self.note(sock, where.key, listens=False)
        if sock.type == socket.SOCK_DGRAM:
            self.link.send(ScriptListening(where.key))
            self.serving()

    def _note(
        self,
        fd: int,
        key: str,
        stage: PortZeroStage,
        *,
        is_stream: bool = True,
        listens: bool = False,
    ) -> None:
        self.copies[fd] = Copy(key, _inode(fd), is_stream, stage, listens=listens)

    def _keys(self) -> set[str]:
        return {copy.key for copy in list(self.copies.values())}

    def _another(self, sock: Any, where: BindKey) -> BindKey:
        """Where a second socket of this process is bound, to an address that it has already: those
        of mDNS and SSDP are several on one port, and each gets what is sent to all. Raises OSError.
        """
        if sock.type == socket.SOCK_DGRAM and _has(sock, socket.SO_REUSEADDR):
            numbered = (f"{where.key}#{number}" for number in count(2))
            key = next(each for each in numbered if each not in self._keys())
            return BindKey(key, where.address, where.text, where.path, where.port)
        if not _has(sock, getattr(socket, "SO_REUSEPORT", None)):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return where

    def _holds(self, path: str) -> bool:
        """Whether the arbiter has made the socket file at ``path``. Raises ArbiterGone."""
        if self.link.gone:
            return False
        answer, _ = self.link.call(lambda number: FileQuery(number, path))
        return isinstance(answer, FileAnswer) and answer.held

    def _collect(self) -> None:
        """Notice what was closed behind our back."""
        for fd in [fd for fd in list(self.copies) if not self.known(fd)]:
            self.forget(fd)

    def _is_exclusive(self, where: BindKey) -> bool:
        names = {where.text, where.path, "" if where.port is None else str(where.port)}
        return bool(self.exclusive & names)


def _like(sock: Any) -> socket.socket:
    """A socket of the same kind, with the options that decide who else may bind."""
    fresh = socket.socket(sock.family, sock.type, sock.proto)
    options = [(socket.SOL_SOCKET, socket.SO_REUSEADDR)]
    if sock.family == socket.AF_INET6:
        options.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    for level, option in options:
        fresh.setsockopt(level, option, sock.getsockopt(level, option))
    return fresh


def _has(sock: Any, option: int | None) -> bool:
    return option is not None and bool(sock.getsockopt(socket.SOL_SOCKET, option))


def _inode(fd: int) -> int:
    """Every copy of one socket has the same; 0 if ``fd`` is closed."""
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0


def _shown(sock: Any) -> str:
    name = sock.getsockname()
    where = place(sock.family, sock.type, name)
    return where.text if where else str(name)
