"""The sockets that scripts have bound, as the arbiter keeps them.

The first worker that binds an address sends its own unbound socket, with every option that the
script has set. The arbiter binds it; it becomes the handle. Each later worker with the same key
gets a copy. The arbiter does not listen: a script's own listen() does that for all copies.

A handle stays while its generation is active, whichever workers die, with its queued connections.
After a reload it stays for a while after the last old worker: a script counts as ready at its
first listen(), and may bind a second port later. A handle that never listened was a client's, or a
test for a free port: it is closed when its users have closed it.

Rules: reads nothing, accepts nothing, resolves no name.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator, Mapping

from pyfork.ipc.fd_name import FdKind, FdName
from pyfork.ipc.messages import QueryServer, ServerHandle
from pyfork.net import unix
from pyfork.net.bind import bind_reuseport, bound_address
from pyfork.net.closing import refuse_new
from pyfork.record import entity, field
from pyfork.system.proc_sockets import queues as queue_lengths

KEEP_SECONDS = 5.0  # seconds
MAX_REUSEPORT_SOCKETS = 32  # queues of one address: an upgrade passes them on in one message
PREFIX = "script:"  # of the key of a handle, where it is named beside the listeners of --bind


@entity(kw_only=True)
class Handle:
    """A socket that a script has bound."""

    # more reuseport sockets on the same address
    extra: list[socket.socket] = field(default_factory=list)
    socket: socket.socket
    file: unix.SocketFile | None = None  # removed at the end
    generations: set[int] = field(default_factory=set)  # that have used it
    users: set[int] = field(default_factory=set)  # serials of workers that have not closed it
    listens: bool = False
    close_at: float | None = None  # when no worker is left that may need it


class Handles:
    """The sockets of all scripts."""

    def __init__(self) -> None:
        self._handles: dict[str, Handle] = {}
        self._released: set[str] = set()  # another arbiter has these too, and their files

    # Requests of workers.

    def query(
        self, message: QueryServer, fd: int, *, worker: int, generation: int
    ) -> tuple[ServerHandle, tuple[int, ...]]:
        """Answer a worker that binds. Returns the message and the descriptor for it.

        ``fd`` is the worker's unbound socket; the caller closes it.
        """
        handle = self._handles.get(message.key)
        if handle is None:
            try:
                handle = _bind(message, fd)
            except OSError as error:
                number = error.errno or errno.EINVAL  # none: raised by Python, not by the kernel
                return ServerHandle(message.number, number, error.strerror or str(error)), ()
            self._handles[message.key] = handle
        handle.generations.add(generation)
        handle.users.add(worker)
        return ServerHandle(message.number), (handle.socket.fileno(),)

    def listens(self, key: str) -> str:
        """Note that a worker listens. Returns the address if it is the first one."""
        handle = self._handles.get(key)
        if handle is None or handle.listens:
            return ""
        handle.listens = True
        return str(bound_address(handle.socket))

    def closed(self, key: str, worker: int) -> None:
        """Note that a worker has closed its copy."""
        handle = self._handles.get(key)
        if handle:
            handle.users.discard(worker)
            self._close_if(lambda each: each is handle and not (each.listens or each.users))

    def gone(self, worker: int) -> None:
        """Note that a worker has ended."""
        for handle in self._handles.values():
            handle.users.discard(worker)

    def holds(self, path: str) -> bool:
        """Whether the file at ``path`` belongs to a handle."""
        try:
            found = os.lstat(path)
        except OSError:
            return False
        files = [handle.file for handle in self._handles.values() if handle.file]
        return any((one.device, one.inode) == (found.st_dev, found.st_ino) for one in files)

    # Called by the arbiter.

    def get(self, key: str) -> socket.socket | None:
        """Return the socket of the handle ``key``."""
        handle = self._handles.get(key)
        return handle.socket if handle else None

    def sockets(self) -> dict[FdName, socket.socket]:
        """Return all sockets of all handles."""
        return {
            FdName(FdKind.HANDLE, key, index): each
            for key, handle in self._handles.items()
            for index, each in enumerate((handle.socket, *handle.extra))
        }

    def add_reuseport_sockets(self, key: str, queues: int) -> None:
        """Give a TCP address so many queues, if it has not more already.

        Raises:
            OSError: the system does not give them.
        """
        handle = self._handles[key]
        if handle.socket.family in (socket.AF_INET, socket.AF_INET6):
            ((_, limit),) = queue_lengths((handle.socket,)).values()
            while len(handle.extra) + 1 < min(queues, MAX_REUSEPORT_SOCKETS):
                handle.extra.append(bind_reuseport(handle.socket, backlog=limit))

    def queues(self, key: str) -> list[FdName]:
        """The names of all sockets of one handle."""
        count = 1 + len(self._handles[key].extra)
        return [FdName(FdKind.HANDLE, key, index) for index in range(count)]

    def addresses(self) -> list[str]:
        """Return the addresses of listening scripts as text."""
        return [str(bound_address(each.socket)) for each in self._handles.values() if each.listens]

    def inherit(self, sockets: Mapping[FdName, socket.socket], generation: int) -> None:
        """Take over the sockets of another arbiter, or of this one before an exec."""
        for (_, key, index), sock in sockets.items():
            if index:
                self._handles[key].extra.append(sock)
                continue
            path = sock.getsockname() if sock.family == socket.AF_UNIX else ""
            self._handles[key] = Handle(
                socket=sock,
                file=unix.file_of(path) if isinstance(path, str) else None,
                generations={generation},
                listens=_is_listening(sock),
            )

    def release_files(self) -> None:
        """Leave the socket files to another arbiter, which has all open handles."""
        self._released = set(self._handles)

    def own_files(self) -> None:
        """Own the socket files from now on."""
        self._released.clear()

    def release(self, generation: int) -> None:
        """Release handles of ``generation``, which has ended."""
        for handle in self._handles.values():
            handle.generations.discard(generation)

    def release_below(self, generation: int) -> None:
        """Release handles of all lower generations."""
        for handle in self._handles.values():
            handle.generations = {each for each in handle.generations if each >= generation}

    @property
    def deadline(self) -> float | None:
        """When to call `tick` next, in monotonic seconds; None: no limit."""
        times = [each.close_at for each in self._handles.values() if each.close_at is not None]
        return min(times, default=None)

    def tick(self, now: float) -> None:
        """Close handles that are not needed any more."""
        for handle in self._handles.values():
            if handle.generations or handle.users:
                handle.close_at = None
            elif handle.close_at is None:
                handle.close_at = now + KEEP_SECONDS
        self._close_if(lambda each: each.close_at is not None and each.close_at <= now)

    def close(self) -> None:
        """Close all handles. If no other arbiter has them, no connection is reset."""
        for key, handle in self._handles.items():
            if key not in self._released:
                for each in (handle.socket, *handle.extra):
                    refuse_new(each)
        self._close_if(lambda each: True)

    def _close_if(self, unwanted: Callable[[Handle], bool]) -> None:
        for key in [key for key, handle in self._handles.items() if unwanted(handle)]:
            handle = self._handles.pop(key)
            for sock in (handle.socket, *handle.extra):
                sock.close()
            if handle.file and key not in self._released:
                handle.file.remove()


def _bind(message: QueryServer, fd: int) -> Handle:
    """Bind a copy of ``fd``. Raises OSError as the script's own bind() would."""
    own = socket.socket(fileno=os.dup(fd))
    try:
        _set_exclusive_nonblocking(own)
        if own.family != socket.AF_UNIX:
            own.bind(tuple(message.address))
            return Handle(socket=own)
        path = str(message.address[0])
        with _as_socket_owner(own, message.umask):
            own.bind(path)
        return Handle(socket=own, file=unix.file_of(path))
    except BaseException:
        own.close()
        raise


def _set_exclusive_nonblocking(own: socket.socket) -> None:
    """Turn SO_REUSEPORT off, and O_NONBLOCK on.

    A server uses SO_REUSEPORT to share its port between its processes. Here one socket does that,
    and another program that binds beside it would get part of the connections. A blocking copy
    that another worker has emptied would hang this one.
    """
    with contextlib.suppress(OSError, AttributeError):  # not on every kernel, not for every family
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    own.setblocking(False)


@contextlib.contextmanager
def _as_socket_owner(own: socket.socket, umask: int) -> Iterator[None]:
    """Act as the owner of the socket, so that bind() creates a file with that owner and mode.

    Changing the file afterwards could follow a path that was replaced meanwhile, and a worker may
    have fewer rights.

    Raises OSError: it is one end of a pair, which this process may have made.
    """
    if _is_connected(own):
        raise OSError(errno.EISCONN, os.strerror(errno.EISCONN))
    maker, user, group = os.fstat(own.fileno()), os.geteuid(), os.getegid()
    before = os.umask(umask & 0o777)
    try:
        if (maker.st_uid, maker.st_gid) != (user, group):
            os.setegid(maker.st_gid)
            os.seteuid(maker.st_uid)
        yield
    finally:
        if os.geteuid() != user:
            os.seteuid(user)
        if os.getegid() != group:
            os.setegid(group)
        os.umask(before)


def _is_connected(own: socket.socket) -> bool:
    try:
        own.getpeername()
    except OSError:
        return False
    return True


def _is_listening(sock: socket.socket) -> bool:
    if sock.type == socket.SOCK_DGRAM:
        return True
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
