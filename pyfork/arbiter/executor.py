"""What the supervisor orders, done.

Rules: decides nothing, waits for nothing; that an order cannot be done is a fact like another.
"""

import logging
import signal
import time

from pyfork.arbiter.children.watcher import WatcherProcess
from pyfork.arbiter.context import ArbiterContext
from pyfork.arbiter.generations import ReloadResult
from pyfork.arbiter.listeners.dispatch import Dispatch
from pyfork.arbiter.reporting import log_lines
from pyfork.arbiter.reporting.reporter import Reporter
from pyfork.arbiter.resources import Resources
from pyfork.arbiter.upgrade.new_side import Takeover
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.workers.messages import WorkerMessages
from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.config.directory import within
from pyfork.errors import ExitStatus, HookError, PyforkError
from pyfork.ipc import messages, titles
from pyfork.log import setup
from pyfork.record import entity
from pyfork.supervisor import actions, events

log = logging.getLogger("pyfork.error")


@entity(kw_only=True)
class ActionExecutor:
    """Carries them out."""

    house: ArbiterContext
    accession: Takeover
    upgrade: Upgrade
    dispatch: Dispatch
    premises: Resources
    watch: WatcherProcess
    liaison: WorkerMessages
    console: Reporter
    status: ExitStatus | None = None  # of this process, once that is known

    def run_pending(self) -> None:
        """Until there is nothing to do: to fail at an order is a fact again."""
        while orders := self.house.supervisor.actions(time.monotonic()):
            for order in orders:
                self._execute(order)

    def _execute(self, order: actions.Action) -> None:
        match order:
            case actions.Spawn():
                self._spawn(order)
            case actions.Activate(generation=generation):
                self._adopt(generation)
            case actions.Discard():
                self._abandon(order)
            case actions.Exit():
                self._finish(order)
            case _:
                self._stop_worker(order)

    # One worker.

    def _spawn(self, order: actions.Spawn) -> None:
        house = self.house
        try:
            member = house.crew.spawn(
                order,
                house.generations.config(order.generation),
                house.generations.directory(order.generation),
                house.ports,
                time.monotonic(),
                own_log=order.generation != house.supervisor.serving.number,
                held=self._hold_accept(order.generation),
                tls=house.generations.certificates.for_generation(order.generation),
            )
        except (OSError, HookError) as error:
            text = f"cannot fork worker {order.slot}: {error}"
            log.error(log_lines.with_detail(text, getattr(error, "detail", "")))
            how = f"it could not be forked: {error}"
            house.supervisor.feed(events.Exited(order.worker, how), time.monotonic())
        else:
            self.liaison.connect(member)

    def _hold_accept(self, generation: int) -> bool:
        """Whether a new worker is not needed before all of its generation are ready."""
        if generation == self.house.supervisor.serving.number:
            return not self.accession.active
        return True

    def _stop_worker(self, order: actions.Retire | actions.Abort | actions.Kill) -> None:
        """Tell a worker to leave, or make it. Nothing happens if it is gone."""
        member = self.house.crew.get(order.worker)
        if member is None:
            return
        match order:
            case actions.Retire(grace=grace):
                self._retire(member, grace)
            case actions.Abort(reason=reason):
                log.error(log_lines.hang_line(member, reason, time.monotonic()))
                member.signal(signal.SIGABRT, doom=reason)
            case actions.Kill(reason=reason):
                member.signal(signal.SIGKILL, doom=reason)

    def _retire(self, member: WorkerProcess, grace: float) -> None:
        """Tell it to leave; by TERM too if it may not hear."""
        others = not self.house.supervisor.stop_started or self.upgrade.in_charge is not None
        if not others:  # each worker empties the queue, and closes the last copy
            self.dispatch.finish()
            self.house.ports.close()
        member.retiring = True
        self.house.wires.send(member.channel, messages.StartDrain(grace, handoff=others))
        if not self.house.wires.is_connected(member.channel):
            member.signal(signal.SIGTERM)

    # A generation.

    def _adopt(self, generation: int) -> None:
        """A whole generation is ready."""
        if not self.accession.active:
            self.accession.report_ready()
            return
        house = self.house
        config = house.generations.activate(generation, time.monotonic())
        self.liaison.start_accepting(generation)
        self.console.adopted(generation)
        if generation == house.generations.first:
            return
        directory = house.generations.directory(generation)
        self.watch.apply_config(config, directory)
        try:
            with within(directory.base):
                setup.configure(config)
        except (OSError, PyforkError) as error:
            log.error("the log stays as it was: %s", error)
        house.hooks.config = config
        titles.set_title(titles.arbiter_title(config.name, config.app))
        log.info("reload: generation %d serves", generation)

    def _abandon(self, order: actions.Discard) -> None:
        self.house.generations.discard(order, time.monotonic())
        self.console.abandoned(order, self.house.supervisor.serving.number)

    # The whole server.

    def activate(self) -> None:
        """The arbiter before this one yields, or is gone."""
        serving = self.house.supervisor.serving.number
        self.upgrade.last = ReloadResult(serving, time.monotonic())
        self.premises.activate()
        self._adopt(serving)

    def _finish(self, order: actions.Exit) -> None:
        failure = self.house.supervisor.serving.failure
        self.accession.fail(order.reason, failure.detail if failure else "")
        dismissed = self.accession.rejection
        if dismissed:
            log.critical("pyfork gives up: %s", dismissed)
        elif order.reason:
            detail = failure.detail if failure else ""
            log.critical(log_lines.with_detail(f"pyfork gives up: {order.reason}", detail))
        else:
            log.info("pyfork has stopped")
        self.status = ExitStatus.FAILED if dismissed else order.status
