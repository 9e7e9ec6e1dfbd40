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
class SavedProcess:
    """A worker that lives through an exec. Times are monotonic seconds."""

    serial: int
    slot: int
    generation: int
    pid: int
    channel: int  # fd of the arbiter's end
    line: int  # index on the scoreboard
    born: float
    ready_at: float
    retire_by: float | None  # when it must have drained; None if it serves
    worn: bool = False  # it asked to be replaced
    trays: dict[str, tuple[int, int]] = field(default_factory=dict)  # fds of their ends
    minds: tuple[str, ...] = ()  # it accepts on what it is given

    def fds(self) -> tuple[int, ...]:
        """Every fd that it names."""
        return (self.channel, *(fd for ends in self.trays.values() for fd in ends))


@record(kw_only=True)
class ExecState:
    """All that an arbiter knows and its next image does not."""

    generation: int  # that serves
    size: int  # its slots
    policy: Policy
    scoreboard: int  # fd
    listeners: dict[str, int]  # fds by the address asked for
    survivors: tuple[SavedProcess, ...]
    clients: tuple[int, ...] = ()  # fds of control connections that wait for the upgrade's end
    directory: tuple[str, ...] = ()  # of the generation: base, path, written
    queue: tuple[int, ...] = ()  # fds of the connection queue's ends
    drained: tuple[int, ...] = ()  # slots
    history: tuple[dict[str, Any], ...] = ()
    served: int = 0  # requests of workers that have ended
    deaths: int = 0  # workers that have ended and were not told to

    def save(self) -> int:
        """The fd of a nameless file that `read` understands; it survives an exec."""
        with anonymous_file("pyfork-estate") as file:
            file.write(json.dumps(self._as_json()).encode())
            file.flush()
            fd = os.dup(file.fileno())
        os.set_inheritable(fd, True)
        return fd

    def _as_json(self) -> dict[str, Any]:
        survivors = [asdict(each) for each in self.survivors]
        return asdict(self) | {"policy": asdict(self.policy), "survivors": survivors}

    @classmethod
    def load(cls, fd: int) -> "ExecState":
        """What `write` wrote. Raises SuccessionError for anything else."""
        try:
            with os.fdopen(fd, closefd=False) as file:  # it may have to be read again
                file.seek(0)
                given = json.load(file)
            given["policy"] = _known(Policy, given["policy"])
            given["survivors"] = tuple(_known(SavedProcess, each) for each in given["survivors"])
            return _known(cls, given)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TakeoverError(f"the program before this one left no estate: {error}") from error

    def kept(self) -> Iterator[SavedWorker]:
        """The survivors, as a supervisor knows them."""
        for each in self.survivors:
            yield SavedWorker(
                serial=each.serial,
                slot=each.slot,
                generation=each.generation,
                ready_at=each.ready_at,
                retire_by=each.retire_by,
                worn=each.worn,
            )

    def directory_of(self, start: Start) -> Directory | None:
        """That of the generation, which lasts as long as it; None: it was not told."""
        return Directory(start, *self.directory) if len(self.directory) == 3 else None

    def mark_cloexec(self) -> None:
        """No other program gets it any more."""
        for fd in self.fds():
            os.set_inheritable(fd, False)

    def sockets(self) -> dict[str, socket.socket]:
        """The listeners, by the address asked for."""
        return {text: socket.socket(fileno=fd) for text, fd in self.listeners.items()}

    def fds(self) -> Iterator[int]:
        """Every fd that it names."""
        yield self.scoreboard
        yield from self.queue
        yield from self.listeners.values()
        yield from self.lines()

    def lines(self) -> Iterator[int]:
        """Those at whose other end somebody listens."""
        for survivor in self.survivors:
            yield from survivor.fds()
        yield from self.clients


@entity
class OldArbiter:
    """The arbiter that serves until this one is ready; then it gives its connections."""

    channel: Channel
    generation: int  # the first that is ours
    listeners: dict[str, socket.socket]  # by the address asked for

    @classmethod
    def meet(cls, channel: Channel, patience: float) -> "OldArbiter":
        """Receive the bequest, waiting at most ``patience`` seconds.

        Raises:
            SuccessionError: there was none, or it was refused.
        """
        received = _first(channel, patience)
        match received.message:
            case ListenerFds(generation=generation, addresses=addresses):
                sockets = [socket.socket(fileno=fd) for fd in received.fds]
                for each in sockets:
                    each.setblocking(False)
                return cls(channel, generation, dict(zip(addresses, sockets, strict=True)))
            case UpgradeRejected(reason=reason):
                raise TakeoverError(f"the running server refuses: {reason}")
        raise TakeoverError(f"the running server said {received.message}")


Previous = ExecState | OldArbiter | None
"""What an arbiter follows: its own process before an exec, another arbiter, or nobody."""


def supervisor_for(config: Config, heritage: Previous) -> Supervisor:
    """The supervisor of an arbiter that follows ``heritage``."""
    if isinstance(heritage, ExecState):
        return Supervisor.resume(
            heritage.policy,
            generation=heritage.generation,
            size=heritage.size,
            workers=heritage.kept(),
            drained=heritage.drained,
        )
    if isinstance(heritage, OldArbiter):
        return Supervisor(policy(config), first=heritage.generation, replaces=True)
    return Supervisor(policy(config))


def scoreboard_for(heritage: Previous) -> Scoreboard:
    """A scoreboard, or the one that the survivors of an exec write on."""
    return Scoreboard(
        SCOREBOARD_ROWS, heritage.scoreboard if isinstance(heritage, ExecState) else None
    )


def queue_for(heritage: Previous) -> ConnectionQueue:
    """A connection queue, or the one that the survivors of an exec have."""
    if isinstance(heritage, ExecState) and heritage.queue:
        return ConnectionQueue.from_fds(heritage.queue)
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
