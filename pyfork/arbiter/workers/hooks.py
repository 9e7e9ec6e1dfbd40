"""The hooks that run in the arbiter, and those at the start and the exit of a worker.

They are the operator's code. A hook that fails stops what it belongs to: a start, a reload, one
fork or an upgrade, but never a running server. Without a Python configuration file there are no
hooks, and nothing is imported.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyfork.arbiter.component import Component
from pyfork.config.config import Config
from pyfork.config.settings.hooks import HookSettings
from pyfork.errors import ExitStatus, HookError
from pyfork.ipc.messages import Failed
from pyfork.ipc.scoreboard import Row
from pyfork.ipc.worker_args import WorkerArgs, WorkerMain

if TYPE_CHECKING:
    from pyfork.hooks.objects import HookServer, HookWorker

NAMES = tuple(name for name in vars(HookSettings) if not name.startswith("_"))


def any_configured(config: Config) -> bool:
    """Whether ``config`` has any hook."""
    return any(getattr(config, name) is not None for name in NAMES)


class OperatorHooks(Component):
    """Calls the hooks of the arbiter.

    Args:
        config: of the first generation.
        count: returns the desired number of workers.
        after_exec: this program was executed by an upgrade, and begins with a reload that no
            operator asked for.
    """

    def __init__(
        self, config: Config, count: Callable[[], int], *, after_exec: bool = False
    ) -> None:
        self.config = config  # of the serving generation
        self._count = count
        self._counted: int | None = None
        self._after_exec = after_exec
        self._started = False
        self._server: HookServer | None = None

    # The server.

    def start(self) -> None:
        """Call on_starting, before anything is opened. Raises HookError."""
        if not any_configured(self.config):
            self._counted = self._count()
            return
        from pyfork.hooks.call import call, warn_of_threads

        self.check_worker_count()
        call(self.config, "on_starting", self._hook_server(self.config))
        warn_of_threads()
        self._started = True

    def ready(self) -> None:
        """Call when_ready, before the first worker is forked. Raises HookError."""
        if self.config.when_ready:
            from pyfork.hooks.call import call, warn_of_threads

            call(self.config, "when_ready", self._hook_server(self.config))
            warn_of_threads()

    def with_on_reload(self, reread: Callable[[], Config]) -> Callable[[], Config]:
        """``reread`` with a call of on_reload after it, whose HookError refuses the reload."""

        def read() -> Config:
            config = reread()
            if config.on_reload and not self._after_exec:
                from pyfork.hooks.call import call

                call(config, "on_reload", self._hook_server(config))
            self._after_exec = False
            return config

        return read

    def tick(self, now: float) -> None:
        """Call nworkers_changed if the number of workers has changed."""
        self.check_worker_count()

    def check_worker_count(self) -> None:
        """Call nworkers_changed if it has changed. Raises HookError at the first call."""
        new, old = self._count(), self._counted
        if new == old:
            return
        self._counted = new
        if self.config.nworkers_changed:
            from pyfork.hooks.call import call, call_and_log

            do = call if old is None else call_and_log
            do(self.config, "nworkers_changed", self._hook_server(self.config), new, old)

    def before_exec(self) -> None:
        """Call pre_exec. Raises HookError."""
        if self.config.pre_exec:
            from pyfork.hooks.call import call

            call(self.config, "pre_exec", self._hook_server(self.config))

    def end(self) -> None:
        """Call on_exit."""
        if self._started and self.config.on_exit:
            from pyfork.hooks.call import call_and_log

            call_and_log(self.config, "on_exit", self._hook_server(self.config))

    # Workers.

    def before_fork(
        self, config: Config, *, age: int, slot: int, generation: int, row: Row
    ) -> "HookWorker | None":
        """Call pre_fork. Returns the worker as hooks see it. Raises HookError."""
        worker = self.hook_worker_of(config, age=age, slot=slot, generation=generation, row=row)
        if worker is None:
            return None
        from pyfork.hooks.call import call

        server = worker.server
        server.worker_age = max(server.worker_age, age)
        call(config, "pre_fork", server, worker)
        return worker

    def hook_worker_of(
        self, config: Config, *, age: int, slot: int, generation: int, row: Row
    ) -> "HookWorker | None":
        """The worker as hooks see it. In a fork server pre_fork is not called: the arbiter did."""
        if not any_configured(config):
            return None
        from pyfork.hooks.objects import HookWorker

        worker = HookWorker(
            config,
            age=age,
            slot=slot,
            generation=generation,
            answered=lambda: row.requests,
        )
        worker.server = self._hook_server(config)
        return worker

    def after_fork(self, worker: "HookWorker | None", pid: int) -> None:
        """Add a forked worker to the WORKERS that hooks see."""
        if worker is not None:
            worker.pid = pid
            worker.server.WORKERS[pid] = worker

    def after_exit(self, worker: "HookWorker | None") -> None:
        """Remove a worker from WORKERS, and call child_exit."""
        if worker is None or worker.pid is None:
            return
        from pyfork.hooks.call import call_and_log
        from pyfork.hooks.objects import config_of

        worker.server.WORKERS.pop(worker.pid, None)
        call_and_log(config_of(worker), "child_exit", self._hook_server(self.config), worker)

    def _hook_server(self, config: Config) -> "HookServer":
        """The server as hooks see it, with the settings ``config``."""
        from pyfork.hooks.objects import HookConfig, HookServer

        if self._server is None:
            self._server = HookServer(config, self._count)
        self._server.cfg = HookConfig(config)
        return self._server


def run_with_hooks(main: WorkerMain, args: WorkerArgs) -> int:
    """Run a worker between post_fork and worker_exit. Returns its exit status."""
    from pyfork.hooks.call import call, call_and_log

    worker = args.hook_worker
    assert worker is not None
    worker.pid = os.getpid()
    try:
        call(args.config, "post_fork", worker.server, worker)
        return main(args)
    except HookError as error:
        args.channel.send(Failed(str(error), error.detail))
        return ExitStatus.BOOT
    finally:
        worker.alive = False
        call_and_log(args.config, "worker_exit", worker.server, worker)
