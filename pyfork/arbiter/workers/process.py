"""One worker process, as the arbiter knows it from fork to waitpid."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyfork.arbiter.upgrade.saved_state import Survivor
from pyfork.ipc.channel import Channel, ChannelClosed, Received
from pyfork.ipc.fd_queue import Tray
from pyfork.ipc.messages import Message, Take
from pyfork.ipc.scoreboard import Line
from pyfork.record import entity, field
from pyfork.supervisor.state import Worker

if TYPE_CHECKING:
    from pyfork.hooks.objects import WorkerFace

BOUND = ""  # in the place of a handle's key: the listeners of --bind


@entity(kw_only=True)
class Member:
    """One worker process, from fork to waitpid."""

    worker: int  # serial
    slot: int
    generation: int
    pid: int
    channel: Channel  # the arbiter's end
    line: Line
    index: int  # of the line
    born: float
    # Where its connections come from, if not from the listeners: for `BOUND`, those of --bind, or
    # for a handle of a script, by its key.
    trays: dict[str, Tray] = field(default_factory=dict)  # the arbiter accepts
    minds: set[str] = field(default_factory=set)  # it accepts on what it is given
    held: bool = False  # once ready, it waits until it is told to accept
    ready_at: float | None = None
    interface: str = ""  # that the app speaks, once it is ready
    retiring: bool = False
    failed: bool = False  # it said why it cannot boot
    doom: str = ""  # why it was sent a deadly signal, if it was
    face: "WorkerFace | None" = None  # what hooks see of it, if there are any

    @property
    def on_duty(self) -> bool:
        """Whether it serves and will go on to."""
        return self.ready_at is not None and self.hopeful

    @property
    def hopeful(self) -> bool:
        """Whether it serves or is about to."""
        return not (self.retiring or self.doom or self.failed)

    @property
    def load(self) -> tuple[int, int]:
        """How busy it is: who is in the middle of a request may answer late; then it is
        connections that count."""
        return self.line.in_flight, self.line.connections

    def request(self, ticket: int) -> Message:
        """What asks it to take a connection."""
        return Take(ticket)

    def signal(self, number: signal.Signals, doom: str = "") -> None:
        """Send a signal; ``doom`` is the reason if it is deadly. The pid is ours until waitpid."""
        self.doom = self.doom or doom
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def places(self) -> list[Channel | Tray]:
        """What is open for it."""
        return [self.channel, *self.trays.values()]

    def last_words(self) -> Iterator[Received]:
        """What a dead worker had said before it died."""
        with contextlib.suppress(ChannelClosed):
            while said := self.channel.receive():
                yield from said

    # Through an exec.

    def survivor(self, worker: Worker) -> Survivor:
        """What the next program has to know; ``worker`` is what the supervisor knows."""
        return Survivor(
            serial=self.worker,
            slot=self.slot,
            generation=self.generation,
            pid=self.pid,
            channel=self.channel.fileno(),
            trays={key: tray.fds() for key, tray in self.trays.items()},
            minds=tuple(self.minds),
            line=self.index,
            born=self.born,
            ready_at=self.ready_at or self.born,
            retire_by=worker.due if self.retiring else None,
            worn=worker.worn,
        )

    @classmethod
    def restored(cls, survivor: Survivor, line: Line) -> "Member":
        """The same again, in the next program."""
        return cls(
            worker=survivor.serial,
            slot=survivor.slot,
            generation=survivor.generation,
            pid=survivor.pid,
            channel=Channel(socket.socket(fileno=survivor.channel)),
            line=line,
            index=survivor.line,
            trays={
                key: Tray(*(socket.socket(fileno=fd) for fd in ends))
                for key, ends in survivor.trays.items()
            },
            minds=set(survivor.minds),
            born=survivor.born,
            ready_at=survivor.ready_at,
            retiring=survivor.retire_by is not None,
        )
