"""The arbiter: one thread, one loop, one wait.

Each iteration waits until a worker sends, a signal arrives or a deadline passes; pulls what has
arrived; and ticks every component, the executor of the supervisor's actions first.

Rules: decides nothing; imports no application and reads no client byte; waits nowhere else, so
that every event is answered at once, also in the middle of a reload.
"""

import gc
import logging
import time
from collections.abc import Callable, Sequence

from pyfork.arbiter.children.log_process import LogProcess
from pyfork.arbiter.children.status_process import StatusProcess
from pyfork.arbiter.children.watcher import WatcherProcess
from pyfork.arbiter.commands.signals import SignalPipe
from pyfork.arbiter.commands.table import Commands
from pyfork.arbiter.component import Components
from pyfork.arbiter.control.requests import Requests
from pyfork.arbiter.control.server import ControlServer
from pyfork.arbiter.executor import ActionExecutor
from pyfork.arbiter.generations import Generations, ReloadResult
from pyfork.arbiter.preload.fork_servers import ForkServers
from pyfork.arbiter.reporting.reporter import Reporter
from pyfork.arbiter.resources import Resources
from pyfork.arbiter.upgrade.new_side import Takeover
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.upgrade.saved_state import ExecState, OldArbiter, Previous
from pyfork.arbiter.workers.hooks import OperatorHooks
from pyfork.arbiter.workers.messages import WorkerMessages
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.config.config import Config
from pyfork.errors import ExitStatus, HookError, PyforkError
from pyfork.ipc import titles
from pyfork.ipc.poller import Poller
from pyfork.log import setup
from pyfork.log.formatter import with_detail
from pyfork.record import entity

log = logging.getLogger("pyfork.error")


@entity
class Arbiter:
    """Owns the listeners and keeps the workers. `pyfork.arbiter.build` makes one."""

    config: Config  # of the first generation
    previous: Previous  # what this arbiter replaces
    notes: Sequence[str]  # remarks on the configuration
    components: Components
    poller: Poller
    signals: SignalPipe
    generations: Generations
    pool: WorkerPool
    fork_servers: ForkServers
    hooks: OperatorHooks
    log_process: LogProcess
    watcher: WatcherProcess
    status: StatusProcess
    control: ControlServer
    reporter: Reporter
    resources: Resources
    takeover: Takeover
    upgrade: Upgrade
    worker_messages: WorkerMessages
    executor: ActionExecutor
    commands: Commands
    requests: Requests
    _hook_error: HookError | None = None  # a hook of the start failed after an exec

    def run(self) -> ExitStatus:
        """Serve until told to stop. Returns the exit status of the command.

        Raises:
            PyforkError: a log file, an address or the pid file cannot be had. Nothing is left
                open then.
        """
        try:
            self._start()
            timeout: float | None = 0.0
            while self.executor.status is None:
                self.poller.wait(timeout)
                self._pull(time.monotonic())
                self.components.tick(time.monotonic())
                deadline = self.components.deadline
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            return self.executor.status
        finally:
            self._end()

    def dry_run(self) -> None:
        """Do what `run` does before its loop, as far as no other process can notice.

        Raises:
            PyforkError: `run` would fail. Any other exception means the same.
        """
        assert isinstance(self.previous, ExecState)
        self.resources.open_for_dry_run(self.config, self.previous)
        self.pool.restore(self.previous.workers)
        setup.configure(self.config)

    def _pull(self, now: float) -> None:
        """Take in what has arrived.

        Reports of workers take effect before any command: a worker that was ready before a
        stop was asked for is retired, not killed.
        """
        self.worker_messages.read_scoreboard(now)
        for failure in self.fork_servers.take():
            self.worker_messages.preload_failed(failure)
        self.executor.tick(now)
        if self.takeover.just_activated():
            self.executor.take_over(now)
        for spec in self.signals.read():
            self.commands.handle_signal(spec)
        for client, line in self.control.take():
            self.requests.on_request(client, line)
        for change in self.watcher.take():
            self.commands.files_changed(change)

    # The start and the end.

    def _start(self) -> None:
        config, previous = self.config, self.previous
        active = not isinstance(previous, OldArbiter)
        if isinstance(previous, ExecState):
            previous.mark_cloexec()
        setup.configure(config)
        setup.identify("arbiter")
        self.log_process.tick(time.monotonic())
        titles.set_title(titles.arbiter_title(config.name, config.app))
        for note in self.notes:
            log.info("%s", note)
        self._call(self.hooks.start)
        self.resources.open(config, previous)
        if active:
            self.control.open(config.control)
        self.poller.watch(self.signals, lambda mask: None)  # `_pull` reads it, after the workers
        self.reporter.log_start(config)
        self._call(self.hooks.ready)
        gc.freeze()  # the collector must not write to memory pages that workers share
        if active:
            first = self.generations.first
            self.watcher.apply_config(config, self.generations.directory(first))
        if isinstance(previous, ExecState):
            self._resume_after_exec(previous)

    def _call(self, hooks: Callable[[], None]) -> None:
        """Call hooks of the start. Their error stops it; after an exec, it ends the upgrade."""
        try:
            hooks()
        except HookError as error:
            if not isinstance(self.previous, ExecState):
                raise
            self._hook_error = self._hook_error or error

    def _resume_after_exec(self, state: ExecState) -> None:
        """Connect to the workers that the program before this one left, and begin a reload."""
        self.pool.restore(state.workers)
        if state.fork_server:
            self.fork_servers.restore(state.fork_server, state.generation)
        self.pool.served, self.pool.deaths = state.served, state.deaths
        for worker in self.pool:
            self.worker_messages.connect(worker)
        self.worker_messages.reap()
        self.requests.resume([self.control.resume(fd) for fd in state.clients])
        try:
            if self._hook_error is not None:
                text = f"upgrade failed, the previous workers keep serving: {self._hook_error}"
                log.error(with_detail(text, self._hook_error.detail))
                raise self._hook_error
            answer = self.commands.run("reload", "upgrade")
            self.upgrade.reload_after_exec(answer["generation"])
        except PyforkError as error:
            result = ReloadResult(None, time.monotonic(), str(error), error.detail)
            self.upgrade.reload_after_exec_done(result)

    def _end(self) -> None:
        self.watcher.close()
        self.fork_servers.close()
        self.resources.close()
        for worker in self.pool:  # normally none is left; EOF tells those that are
            worker.channel.close()
        self.signals.close()
        self.hooks.end()
        self.log_process.close()
        self.status.close()
        self.control.close()  # last: a client that waits for the end of the server sees EOF
        self.poller.close()
