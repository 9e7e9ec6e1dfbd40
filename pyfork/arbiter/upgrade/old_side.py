"""One upgrade, from the side of the arbiter that serves.

    asked -> CHECKING -> REHEARSING -> WAITING -> this process is the new program -> RENEWING
                      \\-> BOOTING -> YIELDING -> this process has nothing left
    takeover ---------/

The new program is checked in a child of its own first, and, where it is to be this process, in
another one it does all that comes before its loop. Nothing of this arbiter is given up before
its successor says that all its workers are ready, and the successor begins nothing before it hears
that this one yields; so there is never none in charge, and never two. If the successor does not get
that far, or goes away while we still drain, this arbiter carries on, and the upgrade may be tried
again. Whoever is told to stop meanwhile is not to be followed.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import IO, Protocol

from pyfork.arbiter.component import Component, Components
from pyfork.arbiter.generations import Generations, ReloadResult
from pyfork.arbiter.listeners.dispatch import Dispatch
from pyfork.arbiter.listeners.handoff import HandoffBroker
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.reporting import log_lines
from pyfork.arbiter.resources import Resources
from pyfork.arbiter.signals import SignalPipe
from pyfork.arbiter.upgrade.child import (
    StderrCapture,
    check_command,
    command_line,
    exec_or_report,
)
from pyfork.arbiter.upgrade.doomed import KillTimers
from pyfork.arbiter.upgrade.exec_in_place import REHEARSAL_LIMIT, ExecInPlace, no_signals
from pyfork.arbiter.upgrade.new_side import Takeover
from pyfork.arbiter.workers import fork as process
from pyfork.arbiter.workers.hooks import OperatorHooks
from pyfork.clock import earliest
from pyfork.errors import PyforkError
from pyfork.ipc.channel import Channel, pair
from pyfork.ipc.messages import (
    Failed,
    HandoffDone,
    HandoffFailed,
    HandoffOffer,
    HandoverGranted,
    ListenerFds,
    Message,
    NewArbiterReady,
    NewArbiterStopping,
    UpgradeRejected,
)
from pyfork.ipc.poller import Poller
from pyfork.record import entity, field
from pyfork.supervisor.events import CommandReceived, OperatorCommand
from pyfork.supervisor.supervisor import STOPPING, Supervisor
from pyfork.system.environment import UPGRADE, is_init_or_unit

log = logging.getLogger("pyfork.error")

QUIESCE_TIMEOUT = 30.0  # seconds to wait for a moment in which nothing is half done
MARGIN = 5.0  # seconds that a successor gets beyond its workers' --boot-timeout
REFUSED = "the system has nothing to start the new program with"
UNLIMITED = 3600.0  # seconds, where --boot-timeout says that there is no limit


class UpgradeStage(Enum):
    """How far the upgrade is."""

    NONE = "none"
    CHECKING = "checking"
    DRY_RUN = "rehearsing"  # an exec
    QUIESCING = "waiting"  # for a quiet moment, to exec
    RELOADING = "renewing"  # after the exec: the workers of the new program boot
    STARTING = "booting"  # the successor does
    DRAINING = "yielding"


@entity
class NewArbiter:
    """The arbiter that is to follow. It takes connections as a worker does."""

    channel: Channel
    pid: int | None  # None: it is no child of ours
    generation: int = sys.maxsize
    is_serving: bool = True
    is_staying: bool = True
    load: tuple[int, int] = (0, 0)

    def request(self, ticket: int) -> Message:
        """What asks it to take a connection."""
        return HandoffOffer(ticket)


class Waiter(Protocol):
    """A control client that waits for the end of the upgrade."""

    @property
    def gone(self) -> bool: ...
    def fileno(self) -> int: ...


@entity
class Upgrade(Component):
    """The one upgrade that there may be at a time."""

    poller: Poller
    components: Components
    supervisor: Supervisor
    generations: Generations
    listeners: ListenerTable
    handoffs: HandoffBroker
    hooks: OperatorHooks
    signals: SignalPipe
    takeover: Takeover  # of this arbiter, from the one before it
    resources: Resources
    dispatch: Dispatch
    in_place: ExecInPlace
    waiters: list[Waiter] = field(default_factory=list)  # an exec passes their connections on
    stage: UpgradeStage = UpgradeStage.NONE
    successor: NewArbiter | None = None
    last: ReloadResult | None = None  # how the last upgrade ended
    _deadline: float | None = None  # of the stage
    _child: int | None = None  # pid of the check or of the successor
    _words: StderrCapture | None = None  # of a check or a rehearsal, while there is one
    _doomed: KillTimers = field(default_factory=KillTimers)
    _told_to_stop: bool = False  # and this arbiter lets the upgrade finish first
    _renewal: int = 0  # the first generation of the new program, after an exec

    @property
    def in_charge(self) -> NewArbiter | None:
        """The arbiter that serves in our place, once it does."""
        return self.successor if self.stage is UpgradeStage.DRAINING else None

    @property
    def deadline(self) -> float | None:
        """When to `act` if nothing happens before."""
        return earliest(self._deadline, self._doomed.deadline)

    def close_in_child(self) -> None:
        """Close what a forked child has of it."""
        if self.successor:
            self.successor.channel.close()

    # What is asked.

    def start(self, now: float) -> None:
        """Begin. Raises PyforkError: not now."""
        if refusal := self._refusal():
            raise PyforkError(refusal)
        log.info("upgrade: checking the new program")
        try:
            self._try(UpgradeStage.CHECKING, self._check, now + self._patience())
        except OSError as error:
            raise PyforkError(f"{REFUSED}: {error.strerror}") from None

    def start_takeover(self, channel: Channel, now: float) -> None:
        """Another arbiter asks to take over. It is told if that is refused."""
        if refusal := self._refusal():
            log.warning("takeover refused: %s", refusal)
            self._reject(channel, refusal)
            channel.close()
            return
        log.info("upgrade: another arbiter asks for the listeners")
        self._send_listeners(NewArbiter(channel, None), now)

    @property
    def beside(self) -> bool:
        """Whether a new arbiter is being started beside this one, which serves as yet. Nobody
        watches the process id then, and it is known that this process will end."""
        if self.stage not in (UpgradeStage.CHECKING, UpgradeStage.STARTING) or is_init_or_unit():
            return False
        return not (self.supervisor.stop_requested or self._in_place())

    def postpones_stop(self) -> bool:
        """Told to stop gracefully: whether the upgrade is to finish first.

        gunicorn's procedure is USR2, a pause, and TERM to the old process, which ends here by
        itself; to stop both while the new one boots would end the service. Asked again: no.
        """
        if self._told_to_stop or not self.beside:
            return False
        self._told_to_stop = True
        return True

    def _refusal(self) -> str:
        if self.stage is not UpgradeStage.NONE:
            return "an upgrade is under way already"
        if not self.takeover.finished:
            return "the last upgrade is not over: the arbiter before this one has not left yet"
        if self.supervisor.stop_requested:
            return STOPPING
        if not self.supervisor.serving.active:
            return "the server is still starting"
        return ""

    # What happens.

    def exited(self, pid: int, how: str) -> bool:
        """A child ended; whether it was one of ours."""
        if self._doomed.exited(pid):
            return True
        if pid != self._child:
            return False
        self._child = None
        if self._words is not None:
            self._child_exited(how, self._words.take(), time.monotonic())
        elif self.stage is UpgradeStage.STARTING:
            self._fail(f"the new arbiter ended with {how}")
        elif self.stage is UpgradeStage.DRAINING:
            self._resume(how)
        return True

    def _on_message(self, message: Message, fds: Sequence[int]) -> None:
        match message:
            case NewArbiterReady() if self.stage is UpgradeStage.STARTING:
                self._hand_over()
            case Failed(reason=reason, detail=detail) if self.stage is UpgradeStage.STARTING:
                self._fail(f"the new arbiter gives up: {reason}", detail)
            case NewArbiterStopping():
                self.supervisor.feed(
                    CommandReceived(OperatorCommand.STOP_FOR_GOOD), time.monotonic()
                )
            case HandoffDone(connection=ticket):
                self.handoffs.complete(ticket, taken=True)
            case HandoffFailed(connection=ticket):
                self.handoffs.complete(ticket, taken=False)
            case _:
                log.error("the new arbiter sent what is not its to say: %s", message)

    def _closed(self, why: str) -> None:
        if self.stage is UpgradeStage.STARTING:
            self._fail("the new arbiter is gone")
        elif self.stage is UpgradeStage.DRAINING:
            self._resume(why)

    # What is done.

    def tick(self, now: float) -> None:
        """Once a turn: go on if the time has come."""
        self._doomed.tick(now)
        if self.stage in (UpgradeStage.NONE, UpgradeStage.DRAINING):
            return
        if self.stage is UpgradeStage.RELOADING:
            self._look_at_renewal()
        elif self.supervisor.stop_requested:
            self._fail(STOPPING)
        elif self.stage is UpgradeStage.QUIESCING and self.in_place.is_quiescent():
            self._exec()
        elif self._deadline is not None and now >= self._deadline:
            waiting = self.stage is UpgradeStage.QUIESCING
            self._fail("no quiet moment came" if waiting else "the new program took too long")

    def _in_place(self) -> bool:
        mode = self.generations.config(self.supervisor.serving.number).upgrade_mode
        return mode == "exec" or (mode == "auto" and is_init_or_unit())

    def _spawn(self, now: float) -> None:
        ours, theirs = pair()
        environ = dict(os.environ) | {UPGRADE: f"spawn:{theirs.fileno()}"}
        before, start = self.hooks.before_exec, self.generations.start
        self._child = process.fork(
            partial(
                exec_or_report,
                command_line(),
                environ,
                start,
                keep=(theirs.fileno(),),
                before=before,
            ),
            self.components.close_in_child,
            ours.close,
        )
        theirs.close()
        log.info("upgrade: a new arbiter (pid %d) starts", self._child)
        self._send_listeners(NewArbiter(ours, self._child), now)

    def _send_listeners(self, successor: NewArbiter, now: float) -> None:
        """Give it the listeners, and wait for it to be ready."""
        self.successor = successor
        self._enter(UpgradeStage.STARTING, now + self._patience())
        self.poller.connect(successor.channel, self._on_message, self._closed)
        listeners = self.listeners.all_sockets()
        self.poller.send(
            successor.channel,
            ListenerFds(self.generations.newest + 1, list(listeners)),
            [listener.fileno() for listener in listeners.values()],
        )

    def _hand_over(self) -> None:
        """It is ready: drain, and let it have what idles."""
        assert self.successor
        log.info("upgrade: the new arbiter is ready, this one drains")
        now = time.monotonic()
        self._enter(UpgradeStage.DRAINING, None)
        self.last = ReloadResult(None, now)
        self.listeners.release_files()
        self.resources.release_control_socket()
        self.poller.send(self.successor.channel, HandoverGranted())
        self.supervisor.feed(CommandReceived(OperatorCommand.HAND_OVER), now)
        if self._told_to_stop:
            self._told_to_stop = False
            self.supervisor.feed(CommandReceived(OperatorCommand.STOP_FOR_GOOD), now)

    def _resume(self, why: str) -> None:
        """It is gone, and we are not yet: the port is ours again, unless we are to stop too."""
        self._leave_successor()
        self._kill_child()
        if not self.supervisor.handing_over:
            log.info("the new arbiter is gone, and this one leaves too")
            return
        log.error("the new arbiter is gone (%s): this one carries on", why)
        self._enter(UpgradeStage.NONE, None)
        self.last = ReloadResult(None, time.monotonic(), f"the new arbiter is gone: {why}")
        self.supervisor.feed(CommandReceived(OperatorCommand.RESUME), time.monotonic())
        self.resources.activate()

    def _fail(self, reason: str, detail: str = "") -> None:
        """All is as it was before; unless this arbiter was told to stop meanwhile."""
        stops = self._told_to_stop and not self.supervisor.stop_requested
        does = "stops, as it was told" if stops else "serves on"
        log.error(log_lines.with_detail(f"upgrade failed, this arbiter {does}: {reason}", detail))
        now = time.monotonic()
        self._told_to_stop = False
        if stops:
            self.supervisor.feed(CommandReceived(OperatorCommand.STOP), now)
        self.last = ReloadResult(None, now, reason, detail)
        if self.successor is not None:
            self._reject(self.successor.channel, reason)
            self._leave_successor()
            if self._child is not None:  # it can end its workers better than we can
                self._doomed.leave(self._child, now)
                self._child = None
        self._kill_child()
        self._enter(UpgradeStage.NONE, None)

    def _reject(self, channel: Channel, reason: str) -> None:
        self.poller.send(channel, UpgradeRejected(reason))

    def _leave_successor(self) -> None:
        if self.successor is not None:
            self.poller.unwatch(self.successor.channel)
            self.handoffs.drop_worker(self.successor)
            self.successor.channel.close()
            self.successor = None

    def _kill_child(self) -> None:
        if self._child is not None:
            self._doomed.kill(self._child, time.monotonic())
            self._child = self._words = None

    def _enter(self, stage: UpgradeStage, deadline: float | None) -> None:
        self.stage, self._deadline = stage, deadline

    def _patience(self) -> float:
        return (self.supervisor.serving.policy.boot_timeout or UNLIMITED) + MARGIN

    # The new program, tried.

    def _try(self, stage: UpgradeStage, fork: Callable[[IO[bytes]], int], deadline: float) -> None:
        """In a child, which ``fork`` makes. Raises OSError: the system has none to give."""
        words = StderrCapture()
        self._child = fork(words.file)
        self._words = words
        self._enter(stage, deadline)

    def _check(self, words: IO[bytes]) -> int:
        start = self.generations.start
        run = partial(
            exec_or_report, check_command(command_line()), dict(os.environ), start, words=words
        )
        return process.fork(run, self.components.close_in_child)

    def _rehearse(self, words: IO[bytes]) -> int:
        return self.in_place.dry_run(self._clients(), words)

    def _child_exited(self, how: str, words: str, now: float) -> None:
        """A check or a rehearsal has ended."""
        self._words = None
        if how != "exit status 0":
            tried = "check" if self.stage is UpgradeStage.CHECKING else "rehearsal"
            self._fail(f"the {tried} of the new program ended with {how}", words)
        elif self.supervisor.stop_requested:
            self._fail(STOPPING)
        elif self.stage is UpgradeStage.DRY_RUN:
            self._enter(UpgradeStage.QUIESCING, now + QUIESCE_TIMEOUT)
        else:
            self._check_passed(now)

    def _check_passed(self, now: float) -> None:
        try:
            if self._in_place():
                self._try(UpgradeStage.DRY_RUN, self._rehearse, now + REHEARSAL_LIMIT)
            else:
                self._spawn(now)
        except OSError as error:
            self._fail(f"{REFUSED}: {error.strerror}")

    # Exec.

    def _clients(self) -> list[int]:
        return [waiter.fileno() for waiter in self.waiters if not waiter.gone]

    def _exec(self) -> None:
        """Become the new program, unless something has happened meanwhile."""
        try:
            with no_signals():
                if not (self.signals.pending or self.dispatch.has_undelivered):
                    self.in_place.exec_new_program(self._clients())
        except PyforkError as error:
            self._fail(str(error), error.detail)
        except OSError as error:
            self._fail(f"it cannot be executed: {error}")

    def reload_after_exec(self, generation: int) -> None:
        """This is the new program, in the same process: its first workers boot."""
        self._renewal = generation
        self._enter(UpgradeStage.RELOADING, None)

    def reload_after_exec_done(self, outcome: ReloadResult) -> None:
        """They serve; or those of before do."""
        self.last = outcome
        self._enter(UpgradeStage.NONE, None)

    def _look_at_renewal(self) -> None:
        outcome = self.generations.outcome(self._renewal)
        if outcome is None:
            return
        if self.generations.newest > self._renewal:  # another reload took its place
            self._renewal = self.generations.newest
        else:
            self.reload_after_exec_done(outcome)
