"""Where a script accepts when somebody has to see it: every `AcceptEpoll` of a worker.

Under ``shared`` the script accepts as it would alone, and there is none of this, unless a limit is
asked for. Otherwise a desk is put in the place of each listener, at listen(). What is behind it

    least         the listener itself, and a gate before it
    round-robin   a tray, which the arbiter gives to whoever says that it listens
    reuseport     a queue of the slot's own, from the arbiter too
    shared        the listener

Rules: the arbiter's messages come in by the link's thread, connections by the script's.
"""

import random
import sys
from collections.abc import Callable, Sequence
from os import dup
from socket import socket  # as it is before gevent's patch

from pyfork.cluster.sockets.accept_epoll import AcceptEpoll, ListenerSource, place
from pyfork.cluster.sockets.ledger import ConnectionCounter
from pyfork.config.config import Config
from pyfork.config.script import sees_connections
from pyfork.dispatch.least import LeastConnections
from pyfork.ipc.fd_name import FdKind, FdName
from pyfork.ipc.messages import AddListeners, RemoveListeners
from pyfork.ipc.scoreboard import ACCEPTED, Row, Scoreboard
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.record import entity, field
from pyfork.system.process import resident

BEAT = 1.0  # seconds between two looks at memory and at who came to accept, at most
_TO_THE_ARBITER = ("round-robin", "reuseport")


def refusal(config: Config) -> str:
    """Why this system cannot do what is asked for, if so."""
    if not sees_connections(config) or sys.platform == "linux":
        return ""
    asked = f"--dispatch {config.dispatch}" if config.dispatch != "shared" else "a limit"
    return (
        f"{asked} cannot be had for a script on this system, which has no epoll: "
        "use --dispatch shared, without --timeout and --max-requests"
    )


@entity
class AcceptManager:
    """The desks of this process.

    Args:
        wear: called once, with the reason, when this worker should be replaced.
    """

    birth: WorkerArgs
    request_recycle: Callable[[str], None]
    _desks: dict[str, AcceptEpoll] = field(default_factory=dict)  # by the key of the handle
    _ledger: ConnectionCounter = field(init=False)
    _gate: LeastConnections | None = field(init=False)
    _wear_after: int = field(init=False)  # connections; 0: never

    def __post_init__(self) -> None:
        birth, config = self.birth, self.birth.config
        self._ledger = ConnectionCounter(birth.line)
        least = config.dispatch == "least"
        self._gate = LeastConnections(birth.scoreboard, birth.line) if least else None
        jitter = random.randint(0, config.max_requests_jitter)
        self._wear_after = config.max_requests and config.max_requests + jitter

    @property
    def _line(self) -> Row:
        return self.birth.line

    def desk(self, key: str) -> AcceptEpoll | None:
        """The one in the place of this handle."""
        return self._desks.get(key)

    def open(self, key: str, fd: int) -> AcceptEpoll:
        """A desk for the handle of which ``fd`` is a copy."""
        handle = socket(fileno=dup(fd))
        handle.setblocking(False)  # or what is a duplicate of it would block, and so the arbiter
        desk = AcceptEpoll(handle, entered=self._entered, gives_way=self._gives_way)
        if self.birth.config.dispatch not in _TO_THE_ARBITER:
            desk.add_listeners(FdName(FdKind.HANDLE, key), ListenerSource(handle.dup()))
        self._desks[key] = desk
        return desk

    def close(self, key: str) -> None:
        """The script has closed it."""
        if desk := self._desks.pop(key, None):
            desk.close()

    def clear(self) -> None:
        """Accept nothing more."""
        for desk in self._desks.values():
            desk.clear()

    def inodes(self) -> set[int]:
        """Of all sockets on which connections come."""
        return {inode for desk in list(self._desks.values()) for inode in desk.inodes()}

    def lend(self) -> None:
        """In a child: the line of the scoreboard is its worker's."""
        self._ledger, self._wear_after = ConnectionCounter(Scoreboard(1).line(0)), 0

    # What the arbiter gives.

    def on_message(self, message: AddListeners | RemoveListeners, fds: Sequence[int]) -> None:
        """Accept on copies of ``fds`` too, or leave what is named to others."""
        for index, name in enumerate(message.listeners):
            desk = self._desks.get(name.address)
            if desk is None:  # closed by now
                continue
            if isinstance(message, AddListeners):
                if desk.lent:  # it was on its way
                    continue
                desk.add_listeners(name, place(socket(fileno=dup(fds[index]))))
            else:
                desk.remove_listeners(name)

    def inherit(self) -> None:
        """Nobody gives anything any more: accept what waits on the listeners themselves."""
        for key, desk in list(self._desks.items()):
            desk.add_listeners(FdName(FdKind.HANDLE, key), ListenerSource(desk.handle.dup()))

    # What is seen.

    def _gives_way(self) -> bool:
        self._ledger.scan()
        return self._gate is not None and self._gate.should_defer()

    def _entered(self, fd: int) -> None:
        self._ledger.on_accept(fd)
        if self._wear_after and self._line.cells[ACCEPTED] >= self._wear_after:
            count, self._wear_after = self._line.accepted, 0
            self.request_recycle(f"it has accepted {count} connections")

    def tick(self) -> float:
        """Once in a while; how long to wait for the next time, at most."""
        self._ledger.scan()
        timeout = self.birth.config.timeout
        if not timeout:
            return BEAT
        came = [desk.on_accept for desk in list(self._desks.values()) if desk.on_accept]
        self._line.deadline = min(came) + timeout + BEAT if came else 0.0
        for desk in list(self._desks.values()):
            desk.probe()
        return min(BEAT, timeout / 4)


def check_memory(limit: int) -> str:
    """Why this process is too large for ``limit`` bytes; nothing if it is not."""
    size = resident() or 0
    if size <= limit:
        return ""
    return f"it uses {size >> 20} MiB of memory, --max-memory is {limit >> 20} MiB"
