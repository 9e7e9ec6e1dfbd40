"""One upgrade, from the side of the arbiter that serves.

    asked -> CHECKING -> WAITING -> this process becomes the new program          (exec)
                      \\-> BOOTING -> YIELDING -> this process has nothing left     (spawn)
    takeover ---------/

The new program is checked in a child of its own first. Nothing of this arbiter is given up before
its successor says that all its workers are ready; if that never comes, or the successor goes away
while we still drain, this arbiter carries on, and the upgrade may be tried again.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from pyfork.arbiter import process
from pyfork.arbiter.crew import Crew
from pyfork.arbiter.facts import Asked, Wish
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.handoffs import Handoffs
from pyfork.arbiter.heritage import Estate, Survivor
from pyfork.arbiter.ports import Ports
from pyfork.arbiter.roster import State
from pyfork.arbiter.supervisor import Supervisor
from pyfork.arbiter.wires import Wires
from pyfork.config.runtime import is_init_or_unit
from pyfork.ipc.channel import Channel, pair
from pyfork.ipc.messages import (
    Bequest,
    Dismissed,
    Keep,
    Message,
    Offered,
    Release,
    Succeeded,
)

log = logging.getLogger("pyfork.error")

VARIABLE = "PYFORK_UPGRADE"  # tells a new program how it comes to be: "spawn:FD" or "exec:FD"

QUIET_LIMIT = 30.0  # seconds to wait for a moment in which nothing is half done
MARGIN = 5.0  # seconds that a successor gets beyond its workers' --boot-timeout
UNLIMITED = 3600.0  # seconds, where --boot-timeout says that there is no limit


class Stage(Enum):
    """How far the upgrade is."""

    NONE = "none"
    CHECKING = "checking"
    WAITING = "waiting"  # for a quiet moment, to exec
    BOOTING = "booting"  # the successor does
    YIELDING = "yielding"


@dataclass(slots=True, eq=False)
class Successor:
    """The arbiter that is to follow. It takes connections as a worker does."""

    channel: Channel
    pid: int | None  # None: it is no child of ours
    generation: int = sys.maxsize
    on_duty: bool = True
    load: tuple[int, int] = (0, 0)

    def request(self, ticket: int) -> Message:
        """What asks it to take a connection."""
        return Offered(ticket)


@dataclass(slots=True, kw_only=True, eq=False)
class Upgrade:
    """The one upgrade that there may be at a time."""

    supervisor: Supervisor
    crew: Crew
    ports: Ports
    generations: Generations
    handoffs: Handoffs
    wires: Wires
    disown: Callable[[], Iterable[Callable[[], object]]]  # what a child closes of ours
    carry_on: Callable[[], None]  # this arbiter is in charge again
    stage: Stage = Stage.NONE
    deadline: float | None = None
    successor: Successor | None = None
    _child: int | None = None  # pid of the check or of the successor

    @property
    def in_charge(self) -> Successor | None:
        """The arbiter that serves in our place, once it does."""
        return self.successor if self.stage is Stage.YIELDING else None

    # What is asked.

    def ask(self, now: float) -> str:
        """Begin. Returns why not, if that is so."""
        if refusal := self._refusal():
            return refusal
        log.info("upgrade: checking the new program")
        command = [*program(), "--check-config"]
        self._child = process.fork(
            lambda: become(command, dict(os.environ), quiet=True), disown=self.disown()
        )
        self._enter(Stage.CHECKING, now + self._patience())
        return ""

    def receive(self, channel: Channel, now: float) -> str:
        """Another arbiter asks to follow. Returns why not, if that is so."""
        if refusal := self._refusal():
            self._dismiss(channel, refusal)
            return refusal
        log.info("upgrade: another arbiter asks for the listeners")
        self._await(Successor(channel, None), now)
        return ""

    def _refusal(self) -> str:
        if self.stage is not Stage.NONE:
            return "an upgrade is under way already"
        if self.supervisor.stopping:
            return "the server is stopping"
        return ""

    # What happens.

    def exited(self, pid: int, how: str, now: float) -> bool:
        """A child ended; whether it was one of ours."""
        if pid != self._child:
            return False
        self._child = None
        if self.stage is Stage.CHECKING:
            if how == "exit status 0":
                self._checked(now)
            else:
                self._fail(f"the check of the new program ended with {how}")
        elif self.stage is Stage.BOOTING:
            self._fail(f"the new arbiter ended with {how}")
        elif self.stage is Stage.YIELDING:
            self._take_back(how)
        return True

    def _heard(self, message: Message, fds: Sequence[int]) -> None:
        match message:
            case Succeeded() if self.stage is Stage.BOOTING:
                self._yield()
            case Release(connection=ticket):
                self.handoffs.settle(ticket, taken=True)
            case Keep(connection=ticket):
                self.handoffs.settle(ticket, taken=False)
            case _:
                log.error("the new arbiter sent what is not its to say: %s", message)

    def _closed(self, why: str) -> None:
        if self.stage is Stage.BOOTING:
            self._fail("the new arbiter is gone")
        elif self.stage is Stage.YIELDING:
            self._take_back(why)

    # What is done.

    def act(self, now: float) -> None:
        """Once a turn: go on if the time has come."""
        if self.stage is Stage.WAITING and self._is_quiet():
            self._exec()
        elif self.deadline is not None and now >= self.deadline:
            if self.stage is Stage.WAITING:
                self._fail("there was no quiet moment for it")
            else:
                self._fail("the new program took too long")

    def _checked(self, now: float) -> None:
        if self.supervisor.stopping:
            self._fail("the server is stopping")
        elif self._in_place():
            self._enter(Stage.WAITING, now + QUIET_LIMIT)
        else:
            self._spawn(now)

    def _in_place(self) -> bool:
        mode = self.generations.config(self.supervisor.serving.number).upgrade_mode
        return mode == "exec" or (mode == "auto" and is_init_or_unit())

    def _spawn(self, now: float) -> None:
        ours, theirs = pair()
        environ = dict(os.environ) | {VARIABLE: f"spawn:{theirs.fileno()}"}
        self._child = process.fork(
            lambda: become(program(), environ, keep=(theirs.fileno(),)),
            disown=[*self.disown(), ours.close],
        )
        theirs.close()
        log.info("upgrade: a new arbiter (pid %d) starts", self._child)
        self._await(Successor(ours, self._child), now)

    def _await(self, successor: Successor, now: float) -> None:
        """Give it the listeners, and wait for it to be ready."""
        self.successor = successor
        self._enter(Stage.BOOTING, now + self._patience())
        self.wires.connect(successor.channel, self._heard, self._closed)
        listeners = self.ports.all()
        self.wires.send(
            successor.channel,
            Bequest(self.generations.newest + 1, list(listeners)),
            [listener.fileno() for listener in listeners.values()],
        )

    def _yield(self) -> None:
        """It is ready: drain, and let it have what idles."""
        log.info("upgrade: the new arbiter is ready, this one drains")
        self._enter(Stage.YIELDING, None)
        self.ports.files_are_ours = False
        self.supervisor.feed(Asked(Wish.YIELD), time.monotonic())

    def _take_back(self, why: str) -> None:
        """It is gone, and we are not yet: the port is ours again."""
        log.error("the new arbiter is gone (%s): this one carries on", why)
        self._leave_successor()
        self._enter(Stage.NONE, None)
        self.ports.files_are_ours = True
        self.supervisor.feed(Asked(Wish.CARRY_ON), time.monotonic())
        self.carry_on()

    def _fail(self, reason: str) -> None:
        """All is as it was before."""
        log.error("upgrade failed, this arbiter serves on: %s", reason)
        if self.successor is not None:
            self._dismiss(self.successor.channel, reason)
            self._leave_successor()
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)  # its workers notice and leave
        self._enter(Stage.NONE, None)

    def _dismiss(self, channel: Channel, reason: str) -> None:
        self.wires.send(channel, Dismissed(reason))
        if not self.wires.is_connected(channel):
            channel.close()

    def _leave_successor(self) -> None:
        if self.successor is not None:
            self.wires.unwatch(self.successor.channel)
            self.handoffs.forget(self.successor)
            self.successor.channel.close()
            self.successor = None

    def _enter(self, stage: Stage, deadline: float | None) -> None:
        self.stage, self.deadline = stage, deadline

    def _patience(self) -> float:
        return (self.supervisor.serving.policy.boot_timeout or UNLIMITED) + MARGIN

    # Exec.

    def _is_quiet(self) -> bool:
        """Whether everything that is known here can be written down."""
        return (
            self.supervisor.candidate is None
            and not self.handoffs.pending
            and all(
                each.state in (State.SERVING, State.RETIRING) for each in self.supervisor.workers
            )
            and all(member.channel.quiet for member in self.crew)
        )

    def _estate(self) -> Estate:
        known = {worker.serial: worker for worker in self.supervisor.workers}
        serving = self.supervisor.serving
        return Estate(
            generation=serving.number,
            size=serving.size,
            policy=serving.policy,
            scoreboard=self.crew.scoreboard.fd,
            listeners={text: each.fileno() for text, each in self.ports.all().items()},
            survivors=tuple(
                Survivor(
                    serial=member.worker,
                    slot=member.slot,
                    generation=member.generation,
                    pid=member.pid,
                    channel=member.channel.fileno(),
                    line=member.index,
                    born=member.born,
                    ready_at=member.ready_at or member.born,
                    retire_by=known[member.worker].due if member.retiring else None,
                )
                for member in self.crew
            ),
        )

    def _exec(self) -> None:
        """Become the new program: same process, same children, same sockets."""
        estate = self._estate()
        log.info("upgrade: this process becomes the new program")
        written = estate.write()
        environ = dict(os.environ) | {VARIABLE: f"exec:{written}"}
        # A signal that comes before the new program's handlers would end it; this mask stays.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            become(program(), environ, keep=tuple(estate.fds()))
        except OSError as error:
            for fd in estate.fds():
                os.set_inheritable(fd, False)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._fail(f"it cannot be executed: {error}")
        finally:
            os.close(written)


def program() -> list[str]:
    """The command line that this process was started with."""
    return [sys.executable, *sys.orig_argv[1:]]


def become(
    command: list[str], environ: dict[str, str], *, keep: Iterable[int] = (), quiet: bool = False
) -> int:
    """Execute ``command`` in this process, with the fds of ``keep``; returns only by OSError.

    ``quiet``: what it writes to stdout is of no interest.
    """
    for fd in keep:
        os.set_inheritable(fd, True)
    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execve(command[0], command, environ)
    raise AssertionError("execve does not return")
