"""The upgrade, from the side of the arbiter that serves: feeds events to the table of
`pyfork.arbiter.upgrade.state`, and executes the actions that it returns."""

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO, Protocol

from pyfork.arbiter.commands.signals import SignalPipe
from pyfork.arbiter.component import Component, Components
from pyfork.arbiter.generations import Generations, ReloadResult
from pyfork.arbiter.listeners.dispatch import Dispatch
from pyfork.arbiter.listeners.handoff import HandoffBroker
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.resources import Resources
from pyfork.arbiter.upgrade.child import (
    StderrCapture,
    check_command,
    command_line,
    exec_or_report,
)
from pyfork.arbiter.upgrade.exec_in_place import ExecInPlace, no_signals
from pyfork.arbiter.upgrade.kill_timers import KillTimers
from pyfork.arbiter.upgrade.new_side import Takeover
from pyfork.arbiter.upgrade.state import UpgradeAction, UpgradeEvent, UpgradeStage, UpgradeState
from pyfork.arbiter.workers.fork import fork
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
from pyfork.log.formatter import with_detail
from pyfork.record import entity, field
from pyfork.supervisor.events import CommandReceived, OperatorCommand
from pyfork.supervisor.supervisor import STOPPING, Supervisor
from pyfork.system.environment import UPGRADE, is_init_or_unit

log = logging.getLogger("pyfork.error")

_TIMEOUTS = {UpgradeStage.QUIESCING: "a worker or a connection was always in transition"}
_TESTS = {UpgradeStage.CHECKING: "check", UpgradeStage.DRY_RUN: "dry run"}


@entity
class NewArbiter:
    """The arbiter that takes over. It takes connections as a worker does."""

    channel: Channel
    pid: int | None  # None: it is no child of this arbiter
    generation: int = sys.maxsize
    is_serving: bool = True
    is_staying: bool = True
    load: tuple[int, int] = (0, 0)

    def request(self, ticket: int) -> Message:
        """The message that offers it a connection."""
        return HandoffOffer(ticket)


class Waiter(Protocol):
    """A control client that waits for the end of the upgrade."""

    @property
    def gone(self) -> bool: ...
    def fileno(self) -> int: ...


@entity
class Upgrade(Component):
    """Starts, checks and follows the new program, and hands over to it."""

    poller: Poller
    components: Components
    supervisor: Supervisor
    generations: Generations
    listeners: ListenerTable
    handoffs: HandoffBroker
    hooks: OperatorHooks
    signals: SignalPipe
    takeover: Takeover  # by this arbiter, from the one before it
    resources: Resources
    dispatch: Dispatch
    in_place: ExecInPlace
    waiters: list[Waiter] = field(default_factory=list)  # an exec passes their connections on
    last: ReloadResult | None = None  # how the last upgrade ended
    _state: UpgradeState = field(default_factory=UpgradeState)
    _new: NewArbiter | None = None
    _child: int | None = None  # pid of a check, of a dry run or of the new arbiter
    _stderr: StderrCapture | None = None  # of a check or a dry run
    _killed: KillTimers = field(default_factory=KillTimers)
    _generation: int = 0  # the first one of the new program, after an exec

    @property
    def stage(self) -> UpgradeStage:
        """How far the upgrade is."""
        return self._state.stage

    @property
    def new_arbiter(self) -> NewArbiter | None:
        """The arbiter that serves in place of this one; None before the handover."""
        return self._new if self.stage is UpgradeStage.DRAINING else None

    @property
    def deadline(self) -> float | None:
        """When the stage times out, or a child has to be killed."""
        return earliest(self._state.deadline, self._killed.deadline)

    def close_in_child(self) -> None:
        """Close the channel to the new arbiter."""
        if self._new:
            self._new.channel.close()

    # Commands.

    def start(self, now: float) -> None:
        """Begin an upgrade. Raises PyforkError if that is not possible now."""
        if refusal := self._refusal(now):
            raise PyforkError(refusal)
        self._on(UpgradeEvent.UPGRADE_REQUESTED, now)
        if self.stage is UpgradeStage.NONE:
            raise PyforkError(self.last.error if self.last else "")

    def start_takeover(self, channel: Channel, now: float) -> None:
        """Another arbiter asks to take over. It is told if that is refused."""
        if refusal := self._refusal(now):
            log.warning("takeover refused: %s", refusal)
            self.poller.send(channel, UpgradeRejected(refusal))
            channel.close()
            return
        log.info("upgrade: another arbiter asks for the listeners")
        self._new = NewArbiter(channel, None)
        self._on(UpgradeEvent.TAKEOVER_REQUESTED, now)

    def _refusal(self, now: float) -> str:
        if self.stage is UpgradeStage.RELOADING:  # the log may say already that it is over
            self._check_reload(now)
        if self.stage is not UpgradeStage.NONE:
            return "an upgrade is under way already"
        if not self.takeover.finished:
            return "the last upgrade is not over: the old arbiter has not exited yet"
        if self.supervisor.stop_requested:
            return STOPPING
        if not self.supervisor.serving.active:
            return "the server is still starting"
        return ""

    @property
    def is_spawning(self) -> bool:
        """Whether a new arbiter starts beside this one, which still serves.

        No service manager watches the process id of this arbiter then, and it will exit anyway.
        """
        if self.stage not in (UpgradeStage.CHECKING, UpgradeStage.STARTING) or is_init_or_unit():
            return False
        return not (self.supervisor.stop_requested or self._uses_exec())

    def postpones_stop(self) -> bool:
        """Whether a graceful stop that is asked for now waits for the end of the upgrade.

        gunicorn's procedure is USR2, a pause, and TERM to the old process, which exits here by
        itself. Stopping both while the new one boots would end the service. Asked again: no.
        """
        return self.is_spawning and self._state.postpone_stop()

    def _uses_exec(self) -> bool:
        mode = self.generations.serving_config.upgrade_mode
        return mode == "exec" or (mode == "auto" and is_init_or_unit())

    # Events.

    def tick(self, now: float) -> None:
        """Compare the stage with what it waits for."""
        self._killed.tick(now)
        if self.stage is UpgradeStage.RELOADING:
            self._check_reload(now)
            return
        if self.supervisor.stop_requested:
            self._on(UpgradeEvent.STOP_REQUESTED, now, STOPPING)
        if self.stage is UpgradeStage.QUIESCING and self.in_place.is_quiescent():
            self._on(UpgradeEvent.QUIESCENT, now)
        deadline = self._state.deadline
        if deadline is not None and now >= deadline:
            text = _TIMEOUTS.get(self.stage, "the new program took too long")
            self._on(UpgradeEvent.TIMED_OUT, now, text)

    def exited(self, pid: int, how: str) -> bool:
        """A child exited. Returns whether it was one of the upgrade."""
        if self._killed.exited(pid):
            return True
        if pid != self._child:
            return False
        self._child, now = None, time.monotonic()
        if self._stderr is not None:
            self._test_ended(how, now)
        elif self.stage is UpgradeStage.DRAINING:
            self._on(UpgradeEvent.NEW_ARBITER_GONE, now, how)
        else:
            self._on(UpgradeEvent.NEW_ARBITER_GONE, now, f"the new arbiter ended with {how}")
        return True

    def _test_ended(self, how: str, now: float) -> None:
        """A check or a dry run has ended."""
        assert self._stderr is not None
        detail, self._stderr = self._stderr.take(), None
        if how != "exit status 0":
            text = f"the {_TESTS[self.stage]} of the new program ended with {how}"
            self._on(UpgradeEvent.FAILED, now, text, detail)
        elif self.supervisor.stop_requested:
            self._on(UpgradeEvent.STOP_REQUESTED, now, STOPPING)
        elif self.stage is UpgradeStage.DRY_RUN:
            self._on(UpgradeEvent.DRY_RUN_PASSED, now)
        elif self._uses_exec():
            self._on(UpgradeEvent.CHECK_PASSED_EXEC, now)
        else:
            self._on(UpgradeEvent.CHECK_PASSED_SPAWN, now)

    def _on_message(self, message: Message, fds: Sequence[int]) -> None:
        now = time.monotonic()
        match message:
            case NewArbiterReady() if self.stage is UpgradeStage.STARTING:
                self._on(UpgradeEvent.NEW_ARBITER_READY, now)
            case Failed(reason=reason, detail=detail) if self.stage is UpgradeStage.STARTING:
                self._on(UpgradeEvent.FAILED, now, f"the new arbiter gives up: {reason}", detail)
            case NewArbiterStopping() if self.stage is UpgradeStage.DRAINING:
                self._on(UpgradeEvent.NEW_ARBITER_STOPPING, now)
            case HandoffDone(connection=ticket):
                self.handoffs.complete(ticket, taken=True)
            case HandoffFailed(connection=ticket):
                self.handoffs.complete(ticket, taken=False)
            case _:
                log.error("unexpected message from the new arbiter: %s", message)

    def _on_closed(self, why: str) -> None:
        if self.stage is UpgradeStage.STARTING:
            why = "the new arbiter is gone"
        self._on(UpgradeEvent.NEW_ARBITER_GONE, time.monotonic(), why)

    def _on(self, event: UpgradeEvent, now: float, reason: str = "", detail: str = "") -> None:
        """Feed an event, and execute what follows. ``reason``: of a failure."""
        boot_timeout = self.supervisor.serving.policy.boot_timeout
        actions = self._state.on(event, now, boot_timeout=boot_timeout)
        try:
            for action in actions:
                self._execute(action, now, ReloadResult(None, now, reason, detail))
        except OSError as error:
            text = f"the system cannot start the new program: {error.strerror}"
            self._on(UpgradeEvent.FAILED, now, text)

    # Actions.

    def _execute(self, action: UpgradeAction, now: float, result: ReloadResult) -> None:
        """Execute one action. Raises OSError: the system has no process or file to give."""
        match action:
            case UpgradeAction.START_CHECK:
                log.info("upgrade: checking the new program")
                self._test(self._fork_check)
            case UpgradeAction.START_DRY_RUN:
                self._test(lambda stderr: self.in_place.dry_run(self._clients(), stderr))
            case UpgradeAction.EXEC_PROGRAM:
                self._exec(now)
            case UpgradeAction.SPAWN_ARBITER:
                self._spawn()
            case UpgradeAction.SEND_LISTENERS:
                self._send_listeners()
            case UpgradeAction.HAND_OVER:
                self._hand_over(now)
            case UpgradeAction.RESUME:
                self._resume(now, result.error)
            case UpgradeAction.FAIL:
                self._fail(now, result)
            case UpgradeAction.STOP if not self.supervisor.stop_requested:
                log.info("upgrade: this arbiter stops now, as it was told")
                self._feed(OperatorCommand.STOP, now)
            case UpgradeAction.STOP_FOR_GOOD:
                self._feed(OperatorCommand.STOP_FOR_GOOD, now)

    def _test(self, fork_child: Callable[[IO[bytes]], int]) -> None:
        """Run a check or a dry run in a child, which ``fork_child`` makes."""
        stderr = StderrCapture()
        self._child = fork_child(stderr.file)
        self._stderr = stderr

    def _fork_check(self, stderr: IO[bytes]) -> int:
        command, start = check_command(command_line()), self.generations.start
        run = partial(exec_or_report, command, dict(os.environ), start, stderr=stderr)
        return fork(run, self.components.close_in_child)

    def _spawn(self) -> None:
        ours, theirs = pair()
        environ = dict(os.environ) | {UPGRADE: f"spawn:{theirs.fileno()}"}
        run = partial(
            exec_or_report,
            command_line(),
            environ,
            self.generations.start,
            keep=(theirs.fileno(),),
            before=self.hooks.before_exec,
        )
        try:
            self._child = fork(run, self.components.close_in_child, ours.close)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        log.info("upgrade: a new arbiter (pid %d) starts", self._child)
        self._new = NewArbiter(ours, self._child)

    def _send_listeners(self) -> None:
        assert self._new
        self.poller.connect(self._new.channel, self._on_message, self._on_closed)
        sockets = self.listeners.all_sockets()
        self.poller.send(
            self._new.channel,
            ListenerFds(self.generations.newest + 1, list(sockets)),
            [listener.fileno() for listener in sockets.values()],
        )

    def _hand_over(self, now: float) -> None:
        """Drain, and offer idle connections to the new arbiter."""
        assert self._new
        log.info("upgrade: the new arbiter is ready, this one drains")
        self.last = ReloadResult(None, now)
        self.listeners.release_files()
        self.resources.release_control_socket()
        self.poller.send(self._new.channel, HandoverGranted())
        self._feed(OperatorCommand.HAND_OVER, now)

    def _resume(self, now: float, why: str) -> None:
        """The new arbiter is gone, and this one still there: serve again, unless told to stop."""
        self._drop_new_arbiter()
        self._kill_child(now)
        if not self.supervisor.handing_over:
            log.info("the new arbiter is gone, and this one stops too")
            return
        log.error("the new arbiter is gone (%s): this one resumes serving", why)
        self.last = ReloadResult(None, now, f"the new arbiter is gone: {why}")
        self._feed(OperatorCommand.RESUME, now)
        self.resources.activate()

    def _fail(self, now: float, result: ReloadResult) -> None:
        """Undo what was begun: nothing has changed."""
        text = f"upgrade failed, this arbiter keeps serving: {result.error}"
        if self.supervisor.stop_requested:
            text = f"upgrade failed: {result.error}"
        log.error(with_detail(text, result.detail))
        self.last = result
        if self._new is not None:
            self.poller.send(self._new.channel, UpgradeRejected(result.error))
            self._drop_new_arbiter()
            if self._child is not None:  # it ends its own workers
                self._killed.start(self._child, now)
                self._child = None
        self._kill_child(now)

    def _drop_new_arbiter(self) -> None:
        if self._new is not None:
            self.poller.unwatch(self._new.channel)
            self.handoffs.drop_worker(self._new)
            self._new.channel.close()
            self._new = None

    def _kill_child(self, now: float) -> None:
        if self._child is not None:
            self._killed.kill(self._child, now)
            self._child = self._stderr = None

    def _feed(self, command: OperatorCommand, now: float) -> None:
        self.supervisor.feed(CommandReceived(command), now)

    # The exec, and the reload after it.

    def _clients(self) -> list[int]:
        return [waiter.fileno() for waiter in self.waiters if not waiter.gone]

    def _exec(self, now: float) -> None:
        """Execute the new program, unless a signal or a connection has arrived meanwhile."""
        try:
            with no_signals():
                if not (self.signals.pending or self.dispatch.has_undelivered):
                    self.in_place.exec_new_program(self._clients())
        except PyforkError as error:
            self._on(UpgradeEvent.FAILED, now, str(error), error.detail)
        except OSError as error:
            self._on(UpgradeEvent.FAILED, now, f"it cannot be executed: {error}")

    def reload_after_exec(self, generation: int) -> None:
        """This is the new program, in the same process: its first workers boot."""
        self._generation = generation
        self._on(UpgradeEvent.EXECUTED, time.monotonic())

    def reload_after_exec_done(self, result: ReloadResult) -> None:
        """The new workers serve, or the previous ones do."""
        self.last = result
        self._on(UpgradeEvent.RELOADED, result.at)

    def _check_reload(self, now: float) -> None:
        result = self.generations.outcome(self._generation)
        if result is None:
            return
        if self.generations.newest > self._generation:  # another reload took its place
            self._generation = self.generations.newest
        else:
            self.reload_after_exec_done(result)
