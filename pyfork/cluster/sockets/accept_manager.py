"""The accept epolls of a script's worker.

Under ``shared`` and without a limit a script accepts by itself, and none of this is used.
Otherwise listen() replaces each listener by an `AcceptEpoll`, whose source depends on
``--dispatch``:

    least         the listener itself, behind `LeastConnections`
    round-robin   a queue of descriptors, which the arbiter fills
    reuseport     a reuseport socket of this slot, sent by the arbiter
    shared        the listener itself

Rules: messages of the arbiter arrive in the thread of `ArbiterClient`, connections in the
script's.
"""

import random
import sys
from collections.abc import Callable, Sequence
from os import dup
from socket import socket  # before gevent patches it
from time import monotonic

from pyfork.cluster.sockets.accept_epoll import AcceptEpoll, ListenerSource, source_for
from pyfork.cluster.sockets.child_epoll import Ask, ChildEpolls
from pyfork.cluster.sockets.connection_counter import ConnectionCounter
from pyfork.config.config import Config
from pyfork.config.script import sees_connections
from pyfork.dispatch.least import LeastConnections
from pyfork.ipc.fd_name import FdKind, FdName
from pyfork.ipc.messages import AddListeners, RemoveListeners
from pyfork.ipc.scoreboard import ACCEPTED, Row
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.record import entity, field
from pyfork.system.process import resident

TICK_SECONDS = 1.0  # between two checks of memory and of accepting, at most
KEEP_SECONDS = 60.0  # in which a child of a script that has closed its listener comes to accept
_ARBITER_ACCEPTS = ("round-robin", "reuseport")


def unsupported_reason(config: Config) -> str:
    """Say why this system lacks what ``config`` asks for; empty if it does not."""
    if not sees_connections(config) or sys.platform == "linux":
        return ""
    asked = f"--dispatch {config.dispatch}" if config.dispatch != "shared" else "a limit"
    return (
        f"{asked} is not available for a script on this system, which has no epoll: "
        "use --dispatch shared, without --timeout and --max-requests"
    )


@entity
class AcceptManager:
    """All accept epolls of this process.

    Args:
        request_recycle: called once, with the reason, when this worker should be replaced.
        released: called with the key of an epoll that was kept for a child, and that none wants.
    """

    args: WorkerArgs
    request_recycle: Callable[[str], None]
    released: Callable[[str], None]
    _epolls: dict[str, AcceptEpoll] = field(default_factory=dict)  # by handle key
    _counter: ConnectionCounter = field(init=False)
    _least: LeastConnections | None = field(init=False)
    _recycle_after: int = field(init=False)  # connections; 0: never

    def __post_init__(self) -> None:
        args, config = self.args, self.args.config
        self._counter = ConnectionCounter(args.row)
        least = config.dispatch == "least"
        self._least = LeastConnections(args.scoreboard, args.row) if least else None
        jitter = random.randint(0, config.max_requests_jitter)
        self._recycle_after = config.max_requests and config.max_requests + jitter

    @property
    def _row(self) -> Row:
        return self.args.row

    def epoll(self, key: str) -> AcceptEpoll | None:
        """Return the epoll of the handle ``key``."""
        return self._epolls.get(key)

    def open(self, key: str, fd: int) -> AcceptEpoll:
        """Return the epoll for the handle of which ``fd`` is a copy."""
        if kept := self._epolls.get(key):
            kept.kept_since = 0.0
            return kept
        handle = socket(fileno=dup(fd))
        handle.setblocking(False)  # O_NONBLOCK is shared with the arbiter's copy
        epoll = AcceptEpoll(handle, on_accept=self._on_accept, should_defer=self._should_defer)
        if self.args.config.dispatch not in _ARBITER_ACCEPTS:
            epoll.add_listeners(FdName(FdKind.HANDLE, key), ListenerSource(handle.dup()))
        self._epolls[key] = epoll
        return epoll

    def epolls(self) -> list[AcceptEpoll]:
        """Return all epolls."""
        return list(self._epolls.values())

    def close(self, key: str) -> None:
        """Close the epoll of ``key``: the script has closed its descriptor.

        Where a child may accept from it, the epoll stays, as a listener would that children have.
        """
        if self.is_inherited(key):
            self._epolls[key].kept_since = monotonic()
        elif epoll := self._epolls.pop(key, None):
            epoll.close()

    def inodes(self) -> set[int]:
        """Return the inodes of all sockets on which connections arrive."""
        return {inode for epoll in self.epolls() for inode in epoll.inodes()}

    # Children of the script.

    def on_fork(self) -> None:
        """The script has forked: the child has all epolls."""
        for epoll in self.epolls():
            epoll.is_inherited = True

    def is_inherited(self, key: str) -> bool:
        """Whether a child may accept from the epoll of ``key``."""
        return key in self._epolls and self._epolls[key].is_inherited

    def in_child(self, ask: Ask) -> ChildEpolls:
        """In a forked child: make its view of the epolls; its copies of the sources are closed."""
        children = ChildEpolls(ask)
        for key, epoll in self._epolls.items():
            epoll.close_sources_in_child()
            children.add(key, epoll.handle, epoll.epoll, epoll.probe_fd, epoll.state)
        return children

    def sources(self, key: str) -> tuple[int, list[int]]:
        """Return the descriptors of the probe and of the sources of ``key``."""
        epoll = self._epolls.get(key)
        return (epoll.probe_fd, epoll.source_fds()) if epoll else (-1, [])

    # Called by the thread of the arbiter client.

    def on_message(self, message: AddListeners | RemoveListeners, fds: Sequence[int]) -> None:
        """Add copies of ``fds`` as sources, or remove the named ones."""
        for index, name in enumerate(message.listeners):
            epoll = self._epolls.get(name.address)
            if epoll is None:  # closed meanwhile
                continue
            if isinstance(message, AddListeners):
                epoll.add_listeners(name, source_for(socket(fileno=dup(fds[index]))))
            else:
                epoll.remove_listeners(name)

    def accept_directly(self) -> None:
        """Accept on the listeners themselves: the arbiter is gone."""
        for key, epoll in list(self._epolls.items()):
            epoll.add_listeners(FdName(FdKind.HANDLE, key), ListenerSource(epoll.handle.dup()))

    # Called for each connection, and by `tick`.

    def _should_defer(self) -> bool:
        self._counter.scan()
        return self._least is not None and self._least.should_defer()

    def _on_accept(self, fd: int) -> None:
        self._counter.on_accept(fd)
        if self._recycle_after and self._row.cells[ACCEPTED] >= self._recycle_after:
            count, self._recycle_after = self._row.accepted, 0
            self.request_recycle(f"it has accepted {count} connections")

    def tick(self) -> float:
        """Publish counts and the heartbeat. Returns the seconds until the next call."""
        self._counter.scan()
        self._release()
        timeout = self.args.config.timeout
        if not timeout:
            return TICK_SECONDS
        epolls = [epoll for epoll in self.epolls() if epoll.is_wanted]
        accepts = [last for epoll in epolls if (last := epoll.state.last_accept)]
        self._row.deadline = min(accepts) + timeout + TICK_SECONDS if accepts else 0.0
        for epoll in epolls:
            epoll.probe()
        return min(TICK_SECONDS, timeout / 4)

    def _release(self) -> None:
        """Close epolls that were kept for children, and that no child accepts from."""
        for key, epoll in list(self._epolls.items()):
            if not epoll.is_wanted and monotonic() >= epoll.kept_since + KEEP_SECONDS:
                del self._epolls[key]
                epoll.close()
                self.released(key)


def check_memory(limit: int) -> str:
    """Say why this process is too large for ``limit`` bytes; empty if it is not."""
    size = resident() or 0
    if size <= limit:
        return ""
    return f"it uses {size >> 20} MiB of memory, --max-memory is {limit >> 20} MiB"
