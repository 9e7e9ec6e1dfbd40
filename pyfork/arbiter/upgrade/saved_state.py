"""What an arbiter leaves to the one that follows it.

An exec keeps the process: its children, their channels, the scoreboard and the listeners are all
still there, and an `ExecState` says which is which. Another process gets the listeners by a
channel: to it, the arbiter that is still serving is the `OldArbiter`.
"""

import json
import os
import select
import socket
import time
from collections.abc import Iterator
from typing import Any, TypeVar

from pyfork.arbiter.generations import policy
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

SCOREBOARD_ROWS = (
    4096  # on the scoreboard: more workers than any machine runs; unused ones cost nothing
)


class TakeoverError(PyforkError):
    """The running server did not give its listeners away."""


@record(kw_only=True)
class ExecState:
    """What an arbiter knows and the program that it executes does not."""

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
    history: tuple[dict[str, Any], ...] = ()
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # of the history
    served: int = 0  # requests of workers that have ended
    deaths: int = 0  # workers that have ended and were not told to

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
        return asdict(self) | {"policy": asdict(self.policy), "workers": workers}

    @classmethod
    def load(cls, fd: int) -> "ExecState":
        """Read what `save` wrote. Raises TakeoverError for anything else."""
        try:
            with os.fdopen(fd, closefd=False) as file:  # it may have to be read again
                file.seek(0)
                saved = json.load(file)
            saved["policy"] = _known(Policy, saved["policy"])
            saved["workers"] = tuple(_known(SavedWorker, worker) for worker in saved["workers"])
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
        """Every fd that the state names."""
        yield self.scoreboard
        yield from self.queue
        yield from (fd for _, fd in self.listeners)
        yield from self.peer_fds()

    def peer_fds(self) -> Iterator[int]:
        """The fds of connections to another process."""
        for worker in self.workers:
            yield from worker.fds()
        yield from self.clients


@entity
class OldArbiter:
    """The arbiter that serves until this one is ready; then it gives its connections."""

    channel: Channel
    generation: int  # the first that is ours
    listeners: dict[FdName, socket.socket]

    @classmethod
    def meet(cls, channel: Channel, patience: float) -> "OldArbiter":
        """Receive the bequest, waiting at most ``patience`` seconds.

        Raises:
            SuccessionError: there was none, or it was refused.
        """
        received = _first(channel, patience)
        match received.message:
            case ListenerFds(generation=generation, listeners=names):
                sockets = [socket.socket(fileno=fd) for fd in received.fds]
                for each in sockets:
                    each.setblocking(False)
                return cls(channel, generation, dict(zip(names, sockets, strict=True)))
            case UpgradeRejected(reason=reason):
                raise TakeoverError(f"the running server refuses: {reason}")
        raise TakeoverError(f"the running server said {received.message}")


Previous = ExecState | OldArbiter | None
"""What an arbiter follows: its own process before an exec, another arbiter, or nobody."""


def supervisor_for(config: Config, previous: Previous) -> Supervisor:
    """The supervisor of an arbiter that follows ``previous``."""
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
    """A scoreboard, or the one that the survivors of an exec write on."""
    return Scoreboard(
        SCOREBOARD_ROWS, previous.scoreboard if isinstance(previous, ExecState) else None
    )


def queue_for(previous: Previous) -> ConnectionQueue:
    """A connection queue, or the one that the survivors of an exec have."""
    if isinstance(previous, ExecState) and previous.queue:
        return ConnectionQueue.from_fds(previous.queue)
    return ConnectionQueue.make()


def _known(kind: type[T], given: dict[str, Any]) -> T:
    """A ``kind`` of what it knows of the fields ``given``: a later release may have written them.

    Raises TypeError: one is missing.
    """
    return kind(**{name: given[name] for name in fields(kind) if name in given})


def _first(channel: Channel, patience: float) -> Received:
    """The first thing said on a channel. This arbiter has no loop yet, and nothing else to do."""
    deadline = time.monotonic() + patience
    while (left := deadline - time.monotonic()) > 0:
        select.select([channel], [], [], left)
        try:
            if received := channel.receive():
                # Nobody else reads what came with it: that it was dismissed meanwhile.
                last = received[-1]
                return last if isinstance(last.message, UpgradeRejected) else received[0]
        except ChannelClosed:
            raise TakeoverError("the running server has gone away") from None
    raise TakeoverError(f"the running server said nothing for {patience:g} s")
