"""The state that a new arbiter gets from the previous one.

After an exec in place, the children, their channels, the scoreboard and the listeners are still
open; an `ExecState` names them. Another process gets the listeners over a channel, from the
`OldArbiter` that still serves.
"""

import json
import os
import select
import socket
import time
from collections.abc import Iterator
from typing import Any, TypeVar

from pyfork.arbiter.generations import policy
from pyfork.arbiter.preload.saved import SavedForkServer
from pyfork.config.config import Config
from pyfork.config.directory import Directory, Start
from pyfork.errors import PyforkError
from pyfork.ipc.channel import Channel, ChannelClosed, Received
from pyfork.ipc.connection_queue import ConnectionQueue
from pyfork.ipc.fd_name import FdName
from pyfork.ipc.messages import ListenerFds, UpgradeRejected
from pyfork.ipc.scoreboard import Scoreboard
from pyfork.record import asdict, entity, field, fields, record
from pyfork.supervisor.events import Policy
from pyfork.supervisor.state import SavedWorker
from pyfork.supervisor.supervisor import Supervisor
from pyfork.system.memfd import anonymous_file

T = TypeVar("T")

SCOREBOARD_ROWS = 4096  # more workers than any machine runs; unused rows cost no memory


class TakeoverError(PyforkError):
    """The new arbiter did not get the state of the previous one."""


@record(kw_only=True)
class ExecState:
    """The state that an arbiter leaves to the program that it executes."""

    generation: int  # that serves
    size: int  # its slots
    policy: Policy
    scoreboard: int  # fd
    listeners: tuple[tuple[FdName, int], ...]  # with their fds
    workers: tuple[SavedWorker, ...]
    clients: tuple[int, ...] = ()  # fds of control connections that wait for the upgrade's end
    directory: tuple[str, ...] = ()  # of the generation: base, path, written
    queue: tuple[int, ...] = ()  # fds of the connection queue's ends
    drained: tuple[int, ...] = ()  # slots
    fork_server: SavedForkServer | None = None  # of the generation
    history: tuple[dict[str, Any], ...] = ()
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # of the history
    served: int = 0  # requests of exited workers
    deaths: int = 0  # workers that exited without being told to

    def save(self) -> int:
        """Write the state. Returns the fd of an anonymous file for `load`; it survives an exec."""
        with anonymous_file("pyfork-state") as file:
            file.write(json.dumps(self._as_json()).encode())
            file.flush()
            fd = os.dup(file.fileno())
        os.set_inheritable(fd, True)
        return fd

    def _as_json(self) -> dict[str, Any]:
        workers = [asdict(worker) for worker in self.workers]
        server = asdict(self.fork_server) if self.fork_server else None
        return asdict(self) | {
            "policy": asdict(self.policy),
            "workers": workers,
            "fork_server": server,
        }

    @classmethod
    def load(cls, fd: int) -> "ExecState":
        """Read what `save` wrote. Raises TakeoverError for anything else."""
        try:
            with os.fdopen(fd, closefd=False) as file:  # a failed start reads it again
                file.seek(0)
                saved = json.load(file)
            saved["policy"] = _known(Policy, saved["policy"])
            saved["workers"] = tuple(_known(SavedWorker, worker) for worker in saved["workers"])
            if server := saved.get("fork_server"):
                saved["fork_server"] = _known(SavedForkServer, server)
            saved["listeners"] = tuple((FdName(*name), fd) for name, fd in saved["listeners"])
            return _known(cls, saved)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TakeoverError(
                f"the state of the previous program is unusable: {error}"
            ) from error

    def directory_of(self, start: Start) -> Directory | None:
        """The directory of the generation; None: the previous program did not save it."""
        return Directory(start, *self.directory) if len(self.directory) == 3 else None

    def mark_cloexec(self) -> None:
        """Keep the descriptors from other programs that this one executes."""
        for fd in self.fds():
            os.set_inheritable(fd, False)

    def sockets(self) -> dict[FdName, socket.socket]:
        """The listening sockets."""
        return {name: socket.socket(fileno=fd) for name, fd in self.listeners}

    def fds(self) -> Iterator[int]:
        """All descriptors of the state."""
        yield self.scoreboard
        yield from self.queue
        yield from (fd for _, fd in self.listeners)
        yield from self.peer_fds()

    def peer_fds(self) -> Iterator[int]:
        """The fds of connections to another process."""
        for worker in self.workers:
            yield from worker.fds()
        if self.fork_server:
            yield self.fork_server.channel
        yield from self.clients


@entity
class OldArbiter:
    """The arbiter that serves until this one is ready."""

    channel: Channel
    generation: int  # the first one of this arbiter
    listeners: dict[FdName, socket.socket]

    @classmethod
    def receive_listeners(cls, channel: Channel, timeout: float) -> "OldArbiter":
        """Wait for the listeners, for at most ``timeout`` seconds.

        Raises:
            TakeoverError: none arrived, or the old arbiter refused.
        """
        received = _first(channel, timeout)
        match received.message:
            case ListenerFds(generation=generation, listeners=names):
                sockets = [socket.socket(fileno=fd) for fd in received.fds]
                for sock in sockets:
                    sock.setblocking(False)
                return cls(channel, generation, dict(zip(names, sockets, strict=True)))
            case UpgradeRejected(reason=reason):
                raise TakeoverError(f"the running server refuses: {reason}")
        raise TakeoverError(f"unexpected message from the running server: {received.message}")


Previous = ExecState | OldArbiter | None
"""The predecessor of an arbiter: the program before an exec, another arbiter, or nothing."""


def supervisor_for(config: Config, previous: Previous) -> Supervisor:
    """The supervisor of an arbiter that replaces ``previous``."""
    if isinstance(previous, ExecState):
        return Supervisor.resume(
            previous.policy,
            generation=previous.generation,
            size=previous.size,
            workers=previous.workers,
            drained=previous.drained,
        )
    if isinstance(previous, OldArbiter):
        return Supervisor(policy(config), first=previous.generation, replaces=True)
    return Supervisor(policy(config))


def scoreboard_for(previous: Previous) -> Scoreboard:
    """A new scoreboard; after an exec, the one that the workers have."""
    return Scoreboard(
        SCOREBOARD_ROWS, previous.scoreboard if isinstance(previous, ExecState) else None
    )


def queue_for(previous: Previous) -> ConnectionQueue:
    """A new connection queue; after an exec, the one that the workers have."""
    if isinstance(previous, ExecState) and previous.queue:
        return ConnectionQueue.from_fds(previous.queue)
    return ConnectionQueue.make()


def _known(kind: type[T], given: dict[str, Any]) -> T:
    """A ``kind`` from saved fields. Unknown fields, of a later release, are ignored.

    Raises:
        TypeError: a field is missing.
    """
    return kind(**{name: given[name] for name in fields(kind) if name in given})


def _first(channel: Channel, timeout: float) -> Received:
    """Wait for the first message of a channel. This arbiter has no loop yet."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        select.select([channel], [], [], left)
        try:
            if received := channel.receive():
                # A rejection may have arrived behind it.
                last = received[-1]
                return last if isinstance(last.message, UpgradeRejected) else received[0]
        except ChannelClosed:
            raise TakeoverError("the running server has gone away") from None
    raise TakeoverError(f"the running server did not answer within {timeout:g} s")
