"""Executes the supervisor's actions.

Rules: decides nothing, waits for nothing; an action that fails is fed back as an event.
"""

import logging
import signal
import time

from pyfork.arbiter.children.status_process import StatusProcess
from pyfork.arbiter.children.watcher import WatcherProcess
from pyfork.arbiter.component import Component
from pyfork.arbiter.generations import Generations, ReloadResult
from pyfork.arbiter.listeners.dispatch import Dispatch
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.reporting import log_lines
from pyfork.arbiter.reporting.reporter import Reporter
from pyfork.arbiter.resources import Resources
from pyfork.arbiter.upgrade.new_side import Takeover
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.workers.hooks import OperatorHooks
from pyfork.arbiter.workers.messages import WorkerMessages
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.config.directory import within
from pyfork.errors import ExitStatus, HookError, PyforkError
from pyfork.ipc import messages, titles
from pyfork.ipc.poller import Poller
from pyfork.log import setup
from pyfork.log.formatter import with_detail
from pyfork.record import entity
from pyfork.supervisor import actions, events
from pyfork.supervisor.supervisor import Supervisor

log = logging.getLogger("pyfork.error")


@entity
class ActionExecutor(Component):
    """Turns actions into processes, messages, signals and resources."""

    poller: Poller
    supervisor: Supervisor
    generations: Generations
    listeners: ListenerTable
    pool: WorkerPool
    hooks: OperatorHooks
    takeover: Takeover
    upgrade: Upgrade
    dispatch: Dispatch
    resources: Resources
    watcher: WatcherProcess
    status_process: StatusProcess
    worker_messages: WorkerMessages
    reporter: Reporter
    status: ExitStatus | None = None  # of this process, once the supervisor has finished

    @property
    def deadline(self) -> float | None:
        """When the supervisor has to be asked again."""
        return self.supervisor.deadline()

    def tick(self, now: float) -> None:
        """Execute actions until none is left: one that fails may lead to others."""
        while pending := self.supervisor.actions(now):
            for action in pending:
                self._execute(action, now)

    def _execute(self, action: actions.Action, now: float) -> None:
        match action:
            case actions.Spawn():
                self._spawn(action, now)
            case actions.Activate(generation=generation):
                self._activate(generation, now)
            case actions.Discard():
                self._discard(action, now)
            case actions.Exit():
                self._exit(action)
            case _:
                self._stop_worker(action, now)

    # One worker.

    def _spawn(self, action: actions.Spawn, now: float) -> None:
        number = action.generation
        try:
            worker = self.pool.spawn(
                action,
                self.generations.config(number),
                self.generations.directory(number),
                time.monotonic(),  # not `now`: workers that are forked in a row begin one by one
                own_log=number != self.supervisor.serving.number,
                hold_accept=self._hold_accept(number),
                tls=self.generations.certificates.for_generation(number),
            )
        except (OSError, HookError) as error:
            text = f"cannot fork worker {action.slot}: {error}"
            log.error(with_detail(text, getattr(error, "detail", "")))
            how = f"it could not be forked: {error}"
            self.supervisor.feed(events.Exited(action.worker, how), now)
        else:
            self.worker_messages.connect(worker)

    def _hold_accept(self, generation: int) -> bool:
        """Whether a new worker waits, once ready, for the rest of its generation."""
        if generation == self.supervisor.serving.number:
            return not self.takeover.active
        return True

    def _stop_worker(
        self, action: actions.Retire | actions.Abort | actions.Kill, now: float
    ) -> None:
        """Drain, abort or kill a worker, if it is still there."""
        worker = self.pool.get(action.worker)
        if worker is None:
            return
        match action:
            case actions.Retire(grace=grace):
                self._retire(worker, grace)
            case actions.Abort(reason=reason):
                log.error(log_lines.hang_line(worker, reason, now))
                worker.signal(signal.SIGABRT, reason=reason)
                if not worker.pid:
                    self.pool.fork_servers.abort(worker.generation)
            case actions.Kill(reason=reason):
                worker.signal(signal.SIGKILL, reason=reason)

    def _retire(self, worker: WorkerProcess, grace: float) -> None:
        """Tell a worker to drain; by SIGTERM too if its channel is closed."""
        others = not self.supervisor.stop_started or self.upgrade.new_arbiter is not None
        if not others:  # the workers empty the kernel's queues, and close the last copies
            self.dispatch.finish()
            self.listeners.close()
        worker.retiring = True
        self.poller.send(worker.channel, messages.StartDrain(grace, handoff=others))
        if not self.poller.is_connected(worker.channel):
            worker.signal(signal.SIGTERM)

    # A generation.

    def _activate(self, generation: int, now: float) -> None:
        """All workers of a generation are ready."""
        if not self.takeover.active:
            self.takeover.report_ready()
            return
        config = self.generations.activate(generation, now)
        self.worker_messages.start_accepting(generation)
        self.reporter.activated(generation)
        if generation == self.generations.first:
            return
        directory = self.generations.directory(generation)
        self.watcher.apply_config(config, directory)
        self.status_process.apply_config(config)
        try:
            with within(directory.base):
                setup.configure(config)
        except (OSError, PyforkError) as error:
            log.error("the log stays as it was: %s", error)
        self.hooks.config = config
        titles.set_title(titles.arbiter_title(config.name, config.app))
        log.info("reload: generation %d serves", generation)

    def _discard(self, action: actions.Discard, now: float) -> None:
        self.generations.discard(action, now)
        self.reporter.discarded(action, self.supervisor.serving.number)

    # The whole server.

    def take_over(self, now: float) -> None:
        """The old arbiter has handed over, or is gone: serve in its place."""
        serving = self.supervisor.serving.number
        self.upgrade.last = ReloadResult(serving, now)
        self.resources.activate()
        self._activate(serving, now)

    def _exit(self, action: actions.Exit) -> None:
        failure = self.supervisor.serving.failure
        detail = failure.detail if failure else ""
        self.takeover.fail(action.reason, detail)
        rejection = self.takeover.rejection
        if rejection:
            log.critical("pyfork gives up: %s", rejection)
        elif action.reason:
            log.critical(with_detail(f"pyfork gives up: {action.reason}", detail))
        else:
            self.reporter.stopped(self.supervisor.serving.number)
        self.status = ExitStatus.FAILED if rejection else action.status
