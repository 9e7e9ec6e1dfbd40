"""The worker processes: what each needs to be born, and what is left of it at the end.

Here serials become pids, orders become messages and signals. Nothing here decides or waits.
"""

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from pyfork.arbiter import process
from pyfork.arbiter.actions import Spawn
from pyfork.arbiter.heritage import Survivor
from pyfork.arbiter.hooks import Hooks, live
from pyfork.arbiter.ports import Ports
from pyfork.arbiter.roster import Worker
from pyfork.config import runtime, unit
from pyfork.config.settings import Config
from pyfork.errors import ConfigError, HookError
from pyfork.ipc import titles
from pyfork.ipc.birth import Birth, WorkerMain
from pyfork.ipc.channel import Channel, ChannelClosed, Received, pair
from pyfork.ipc.messages import Failed, Message, Take
from pyfork.ipc.scoreboard import Line, Scoreboard, State
from pyfork.ipc.tray import Source, Tray
from pyfork.log import setup
from pyfork.record import entity, field

if TYPE_CHECKING:
    from pyfork.hooks.faces import WorkerFace
    from pyfork.net.tls import Tls

log = logging.getLogger("pyfork.error")

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


@entity
class Crew:
    """Every worker process there is."""

    worker_main: str  # dotted name of a WorkerMain; resolved in the child
    disown: Callable[[], Iterable[Callable[[], object]]]  # what a child closes of the arbiter's
    scoreboard: Scoreboard
    hooks: Hooks
    _members: dict[int, Member] = field(default_factory=dict)  # by serial
    _free_lines: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._free_lines = list(range(len(self.scoreboard) - 1, -1, -1))

    def __iter__(self) -> Iterator[Member]:
        return iter(tuple(self._members.values()))

    def get(self, worker: int) -> Member | None:
        """The member with this serial, if it is alive."""
        return self._members.get(worker)

    def with_pid(self, pid: int) -> Member | None:
        """The member with this process id; None for a stranger."""
        return next((member for member in self if member.pid == pid), None)

    def survivors(self, workers: Iterable[Worker]) -> Iterator[Survivor]:
        """Those that live through an exec which happens now; ``workers`` says how they are."""
        known = {worker.serial: worker for worker in workers}
        for member in self:
            worker = known.get(member.worker)
            if worker is not None:  # else it was killed, and given up
                yield Survivor(
                    serial=member.worker,
                    slot=member.slot,
                    generation=member.generation,
                    pid=member.pid,
                    channel=member.channel.fileno(),
                    trays={key: tray.fds() for key, tray in member.trays.items()},
                    minds=tuple(member.minds),
                    line=member.index,
                    born=member.born,
                    ready_at=member.ready_at or member.born,
                    retire_by=worker.due if member.retiring else None,
                    worn=worker.worn,
                )

    def restore(self, survivors: Iterable[Survivor]) -> None:
        """Know the workers that lived through an exec."""
        for each in survivors:
            for fd in each.fds():
                os.set_inheritable(fd, False)
            trays = {
                key: Tray(*(socket.socket(fileno=fd) for fd in ends))
                for key, ends in each.trays.items()
            }
            self._free_lines.remove(each.line)
            self._members[each.serial] = Member(
                worker=each.serial,
                slot=each.slot,
                generation=each.generation,
                pid=each.pid,
                channel=Channel(socket.socket(fileno=each.channel)),
                line=self.scoreboard.line(each.line),
                index=each.line,
                trays=trays,
                minds=set(each.minds),
                born=each.born,
                ready_at=each.ready_at,
                retiring=each.retire_by is not None,
            )

    def spawn(
        self,
        order: Spawn,
        config: Config,
        ports: Ports,
        now: float,
        *,
        own_log: bool,
        held: bool,
        tls: "Tls | None" = None,
    ) -> Member:
        """Fork a worker.

        ``own_log``: its log is not the arbiter's, but what ``config`` says. ``held``: once ready,
        it waits to be told to accept.

        Raises:
            OSError: the system does not give what it takes.
            HookError: pre_fork failed.
        """
        member, theirs = self._prepare(order, config, now, held=held)
        try:
            member.face = self.hooks.conceive(
                config,
                age=member.worker,
                slot=member.slot,
                generation=member.generation,
                line=member.line,
            )
        except HookError:
            theirs.close()
            self._give_back(member)
            raise
        birth = Birth(
            config=config,
            slot=order.slot,
            generation=order.generation,
            listeners=_places(member, ports),
            channel=theirs,
            line=member.line,
            scoreboard=self.scoreboard,
            known=tuple(ports.handles.addresses()),
            held=held,
            face=member.face,
            tls=tls,
        )
        try:
            member.pid = process.fork(
                lambda: _live(self.worker_main, birth, own_log=own_log),
                disown=self._what_is_not_its(member, ports),
            )
        except BaseException:
            self._give_back(member)
            raise
        finally:
            theirs.close()
        self._members[order.worker] = member
        self.hooks.born(member.face, member.pid)
        return member

    def _prepare(
        self, order: Spawn, config: Config, now: float, *, held: bool
    ) -> tuple[Member, Channel]:
        """A member that has no process yet, and the worker's end of its channel.

        Raises:
            OSError: there is no room for another one.
        """
        if not self._free_lines:
            most = len(self.scoreboard)
            raise OSError(f"{most} workers are more than the scoreboard has lines for")
        bound = (BOUND,) if config.bind else ()  # a script says later where it listens
        trays = {key: Tray.make() for key in bound if config.dispatch == "round-robin"}
        ours, theirs = pair()
        index = self._free_lines.pop()
        self.scoreboard.use(index)
        line = self.scoreboard.line(index)
        line.clear()
        member = Member(
            worker=order.worker,
            slot=order.slot,
            generation=order.generation,
            pid=0,
            channel=ours,
            line=line,
            index=index,
            trays=trays,
            minds=set(bound) if config.dispatch == "reuseport" else set(),
            born=now,
            held=held,
        )
        return member, theirs

    def _what_is_not_its(self, member: Member, ports: Ports) -> list[Callable[[], object]]:
        """What the process of ``member`` inherits and has to close."""
        served_otherwise = member.trays or member.minds
        strange = ports.all().values() if served_otherwise else ports.not_of(member.generation)
        return [
            *self.disown(),
            *(listener.close for listener in strange),
            *self.channels(),
            member.channel.close,
            *(tray.ours.close for tray in member.trays.values()),
            self.scoreboard.close_file,
        ]

    def channels(self) -> list[Callable[[], object]]:
        """What another child than a member closes of them."""
        return [place.close for member in self for place in member.places()]

    def bury(self, member: Member) -> None:
        """It was waited for: give its things back."""
        del self._members[member.worker]
        self.hooks.gone(member.face)
        self._give_back(member)

    def _give_back(self, member: Member) -> None:
        for each in member.places():
            each.close()
        member.line.clear()
        self._free_lines.append(member.index)


def _places(member: Member, ports: Ports) -> tuple[socket.socket | Source, ...]:
    """Where a worker accepts from its birth on."""
    if member.minds:
        return ()
    if member.trays:
        return tuple(Source(tray.theirs) for tray in member.trays.values())
    return tuple(ports.sockets(member.generation).values())


def _live(worker_main: str, birth: Birth, *, own_log: bool) -> int:
    """The child's life."""
    line, config = birth.line, birth.config
    unit.withhold(os.environ)
    runtime.withhold_secrets(os.environ)
    setup.identify("worker", birth.slot, birth.generation)
    if own_log:
        try:
            setup.configure(config)
        except ConfigError as error:
            birth.channel.send(Failed(str(error), ""))
            return error.status
    line.pid, line.slot, line.generation = os.getpid(), birth.slot, birth.generation
    line.state = State.BOOTING
    titles.show(titles.worker_title(config.name, birth.slot, birth.generation, "booting"))
    main: WorkerMain = process.resolve(worker_main)
    return live(main, birth) if birth.face is not None else main(birth)
