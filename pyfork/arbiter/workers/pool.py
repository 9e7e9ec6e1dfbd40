"""The worker processes: what each needs to be born, and what is left of it at the end.

Here serials become pids, orders become messages and signals. Nothing here decides or waits.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from pyfork.arbiter.listeners.table import Ports
from pyfork.arbiter.upgrade.saved_state import Survivor
from pyfork.arbiter.workers import fork
from pyfork.arbiter.workers.hooks import Hooks, live
from pyfork.arbiter.workers.process import BOUND, Member
from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.errors import ConfigError
from pyfork.ipc import titles
from pyfork.ipc.channel import Channel, pair
from pyfork.ipc.fd_queue import Source, Tray
from pyfork.ipc.messages import Failed
from pyfork.ipc.scoreboard import Scoreboard, State
from pyfork.ipc.worker_args import Birth, WorkerMain
from pyfork.log import setup
from pyfork.record import entity, field
from pyfork.supervisor.actions import Spawn
from pyfork.supervisor.state import Worker
from pyfork.system import environment, systemd_env

if TYPE_CHECKING:
    from pyfork.hooks.objects import WorkerFace
    from pyfork.net.tls.context import Tls

log = logging.getLogger("pyfork.error")


@entity
class Crew:
    """Every worker process there is."""

    worker_main: str  # dotted name of a WorkerMain; resolved in the child
    private: list[Callable[[], object]]  # closes what is the arbiter's alone: called in each child
    scoreboard: Scoreboard
    hooks: Hooks
    lost: int = 0  # log lines that workers could not write which have ended
    _members: dict[int, Member] = field(default_factory=dict)  # by serial

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
                yield member.survivor(worker)

    def restore(self, survivors: Iterable[Survivor]) -> None:
        """Know the workers that lived through an exec."""
        for each in survivors:
            self._members[each.serial] = Member.restored(each, self.scoreboard.line(each.line))

    def spawn(
        self,
        order: Spawn,
        config: Config,
        directory: Directory,
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
            member.face = self._conceive(member, config)
            birth = self._birth(member, theirs, config, directory, ports, tls)
            member.pid = fork.fork(
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
        index = self._free_line()
        bound = (BOUND,) if config.bind else ()  # a script says later where it listens
        trays = {key: Tray.make() for key in bound if config.dispatch == "round-robin"}
        ours, theirs = pair()
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

    def _free_line(self) -> int:
        """The index of the first line on the scoreboard that nobody has. Raises OSError."""
        taken = {member.index for member in self}
        for index in range(len(self.scoreboard)):
            if index not in taken:
                return index
        raise OSError(f"{len(taken)} workers are more than the scoreboard has lines for")

    def _conceive(self, member: Member, config: Config) -> "WorkerFace | None":
        """What hooks see of it. Raises HookError."""
        return self.hooks.conceive(
            config,
            age=member.worker,
            slot=member.slot,
            generation=member.generation,
            line=member.line,
        )

    def _birth(
        self,
        member: Member,
        theirs: Channel,
        config: Config,
        directory: Directory,
        ports: Ports,
        tls: "Tls | None",
    ) -> Birth:
        """What the process of ``member`` starts with."""
        bound = ports.sockets(member.generation).values()
        return Birth(
            config=config,
            slot=member.slot,
            generation=member.generation,
            listeners=_places(member, ports),
            directory=directory,
            addresses=tuple(each.getsockname() for each in bound),
            channel=theirs,
            line=member.line,
            scoreboard=self.scoreboard,
            known=tuple(ports.handles.addresses()),
            held=member.held,
            face=member.face,
            tls=tls,
        )

    def _what_is_not_its(self, member: Member, ports: Ports) -> list[Callable[[], object]]:
        """What the process of ``member`` inherits and has to close."""
        served_otherwise = member.trays or member.minds
        strange = ports.all().values() if served_otherwise else ports.not_of(member.generation)
        return [
            *self.private,
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
        self.lost += member.line.lost
        self.hooks.gone(member.face)
        self._give_back(member)

    def _give_back(self, member: Member) -> None:
        for each in member.places():
            each.close()
        member.line.clear()


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
    systemd_env.withhold(os.environ)
    environment.withhold_secrets(os.environ)
    setup.identify("worker", birth.slot, birth.generation)
    if own_log:
        try:
            with suppress(OSError):  # whoever needs it says that it is gone
                os.chdir(birth.directory.base)
            setup.configure(config)
        except ConfigError as error:
            birth.channel.send(Failed(str(error), ""))
            return error.status
    line.pid, line.slot, line.generation = os.getpid(), birth.slot, birth.generation
    line.state = State.BOOTING
    titles.show(titles.worker_title(config.name, birth.slot, birth.generation, "booting"))
    main: WorkerMain = fork.resolve(worker_main)
    return live(main, birth) if birth.face is not None else main(birth)
