"""A worker whose script runs under ``pyfork run``.

`main` is what the arbiter runs in the child. The worker is ready at its first listen(), or when
``--ready-on`` says so.

During a reload a new worker may have to wait until its whole generation is ready. Its first
listen() then blocks until the arbiter sends StartAccepting.
"""

import logging
import os
import signal
import sys
import threading
from _thread import allocate_lock
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from pyfork.address import parse
from pyfork.child.privileges import drop_privileges
from pyfork.child.signals import ignore_arbiter_signals
from pyfork.cluster import descendants
from pyfork.cluster.script import run_script
from pyfork.cluster.script.script_worker import ScriptWorker
from pyfork.cluster.script.shutdown import ScriptShutdown, drain_child_on_sigterm, exit_on_sigterm
from pyfork.cluster.sockets import accept_manager
from pyfork.cluster.sockets.open_sockets import listening_sockets
from pyfork.errors import BootError, ConfigError, ExitStatus
from pyfork.ipc.messages import (
    AddListeners,
    Failed,
    HandoffRefused,
    HandoffTake,
    Message,
    Recycle,
    RemoveListeners,
    ReopenLogs,
    ReportStacks,
    StacksReport,
    StartAccepting,
    StartDrain,
    WorkerReady,
)
from pyfork.ipc.scoreboard import RowState
from pyfork.ipc.titles import set_title, worker_title
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader import tracebacks
from pyfork.log import setup as logs
from pyfork.net.bind_errors import explain

log = logging.getLogger("pyfork.error")

NO_PORT_SECONDS = 5.0  # after which a script that has not listened counts as one without a port
SCAN_SECONDS = 0.25  # between two scans for sockets that were not made in Python


def main(args: WorkerArgs) -> int:
    """Run the script. Returns the exit status."""
    worker = ManagedScript(args)
    try:
        worker.boot()
        return worker.run()
    except BootError as error:
        if args.config.reload and worker.listens_to_arbiter:
            return worker.serve_error_page(error)
        args.channel.send(Failed(str(error), error.detail))
        return error.status


class ManagedScript(ScriptWorker):
    """The life of a script that the arbiter supervises."""

    def __init__(self, args: WorkerArgs) -> None:
        super().__init__(args)
        self.name = ""  # of the script
        self.interface = "script"
        self.orphan_grace = args.config.graceful_timeout
        self.listens_to_arbiter = False
        self.ready = False
        self._accept_lock = allocate_lock()  # locked while the worker must not accept
        self._ready_at: float | None = None  # monotonic seconds
        self._recycle_requested = False
        self._warned_unshared = False
        self._next_scan = 0.0
        self._unshared: set[str] = set()  # addresses that the last scan found

    # Boot.

    def boot(self) -> None:
        """Set up the process for the script. Raises BootError."""
        config = self.config
        if reason := accept_manager.unsupported_reason(config):
            raise BootError(reason)
        ignore_arbiter_signals()
        signal.signal(signal.SIGTERM, exit_on_sigterm)
        os.environ["PYFORK_WORKER"] = str(self.args.slot)
        drop_privileges(config)
        self._set_up_path()
        if self.args.hold_accept and self._waits_for_port:
            self._accept_lock.acquire()
        if config.ready_on == "delay":
            self._ready_at = monotonic() + config.ready_delay
        elif config.ready_on == "auto" and not self.args.script_addresses:
            self._ready_at = monotonic() + NO_PORT_SECONDS
        self.install()
        self.listen()
        self.listens_to_arbiter = True

    def _set_up_path(self) -> None:
        """Set the directory, the environment and the path that the script sees."""
        config, directory = self.config, self.args.directory
        assert config.app is not None
        os.environ.update(config.env)
        with suppress(OSError):  # it may be gone; neither script nor --chdir may need it
            os.chdir(directory.base)
        ahead = [os.path.abspath(path) for path in config.pythonpath]
        self.name = run_script.locate(config.app)
        try:
            directory.enter()
        except ConfigError as error:
            raise BootError(str(error)) from error
        if not self.name.startswith(run_script.MODULE) and not os.path.exists(self.name):
            raise BootError(f"there is no script {config.app} in {os.getcwd()}")
        run_script.prepare(self.name, config.script_args)
        if not self.name.startswith(run_script.MODULE):
            sys.argv[0] = config.app
        sys.path[1:1] = ahead
        if config.reload:
            from pyfork.dev import breakpoints, bytecode

            breakpoints.install()
            bytecode.install({*ahead, sys.path[0], os.getcwd()})

    # The script.

    def run(self) -> int:
        """Run the script to the end of its last thread. Returns the exit status.

        Raises:
            BootError: the script ended or failed before it was ready.
        """
        try:
            self._run()
        except SystemExit as error:
            if not self._is_booting:
                raise
            status = 0 if error.code is None else error.code
            raise BootError(
                f"{self.config.app} ended with status {status} {self._before_ready()}"
            ) from error
        except BaseException as error:
            if not self._is_booting:
                sys.excepthook(type(error), error, error.__traceback__)
                return ExitStatus.FAILED
            place = tracebacks.place(error)
            where = f"{place}: " if place else f"{self.config.app} raised "
            raise BootError(
                f"{where}{tracebacks.one_line(error)}{self._bind_failure()}",
                tracebacks.app_traceback(error, also="<frozen runpy>"),
            ) from error
        if self._is_booting:
            raise BootError(f"{self.config.app} ended {self._before_ready()}{self._advice()}")
        return ExitStatus.OK

    def _advice(self) -> str:
        """Tell how to serve an application that the script defines and does not run."""
        from pyfork.loader import discovery  # few scripts end like this

        path = os.path.relpath(self.name)
        found = discovery.of_file(os.getcwd(), path) if path.endswith(".py") else None
        return f"; it defines an application: use pyfork {found.spec}" if found else ""

    @property
    def _is_booting(self) -> bool:
        """Whether the worker is not ready yet; False in a process that the script has forked."""
        return not (self.ready or self.draining) and os.getpid() == self.pid

    def _run(self) -> None:
        try:
            run_script.run(self.name)
            threading._shutdown()  # type: ignore[attr-defined]  # as python does at the end
        finally:
            if os.getpid() == self.pid:
                if signal.getsignal(signal.SIGTERM) is exit_on_sigterm:
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already
                descendants.end(sys.argv[0])

    def serve_error_page(self, error: BootError) -> int:
        """Under --reload: report ready and serve ``error`` on the ports that the script had.

        Runs until SIGTERM. Returns the exit status.
        """
        from pyfork.dev.errors import servers as error_servers
        from pyfork.dev.errors.report import broken

        self.arbiter.send(broken(error))
        self.interface = error_servers.INTERFACE
        signal.signal(signal.SIGTERM, exit_on_sigterm)
        args = self.args
        error_servers.serve(args.config, args.row, error, args.script_addresses, self.report_ready)
        return ExitStatus.OK

    def _before_ready(self) -> str:
        condition = {"delay": "was ready", "message": "called ready()"}
        event = condition.get(self.config.ready_on, "listened")
        return f"before it {event}{self._bind_failure()}"

    def _bind_failure(self) -> str:
        """Name the address that the script could not bind, and the process that has it."""
        failure = self.patches.bind_failure
        if failure is None:
            return ""
        return f"; {explain(parse(failure.text), failure.error)}"

    # Ready.

    @property
    def _waits_for_port(self) -> bool:
        """Whether the worker is ready as soon as it listens."""
        return self.config.ready_on in ("auto", "listen")

    def on_serving(self) -> None:
        if self._waits_for_port and not self.draining:
            self.report_ready()
            with self._accept_lock:
                pass
        if not self.draining:
            self.args.row.accepting = 1

    def on_child_serving(self) -> None:
        """Unlike `on_serving`, never waits: the child's listen() has returned."""
        if self._waits_for_port and not self.draining:
            self.report_ready()
        if not self.draining:
            self.args.row.accepting = 1

    def report_ready(self) -> None:
        """Tell the arbiter, once, that this worker serves."""
        if not self.ready:
            self.ready = True
            self.set_state(RowState.SERVING)
            self.arbiter.send(WorkerReady(self.interface))

    def tick(self) -> float | None:
        settled = self.ready or self.draining
        timeout = self._check_limits() if settled else self._check_boot()
        flushed = logs.flush()
        self.args.row.lost = logs.lost()
        tick = accept_manager.TICK_SECONDS
        return timeout if flushed else min(timeout or tick, tick)

    def _check_limits(self) -> float | None:
        """Check memory and accepting. Returns the seconds until the next check; None: no limit."""
        timeout = None
        if self.config.max_memory and not self._recycle_requested:
            timeout = accept_manager.TICK_SECONDS
            if reason := accept_manager.check_memory(self.config.max_memory):
                self.request_recycle(reason)
        return self.accept_manager.tick() if self.accept_manager else timeout

    def request_recycle(self, reason: str) -> None:
        """Ask the arbiter, once, for a replacement; serve until it is there."""
        if not self._recycle_requested:
            self._recycle_requested = True
            self.arbiter.send(Recycle(reason))

    def _check_boot(self) -> float | None:
        """Report ready if the script has no port, or has bound one in C."""
        if self._ready_at is not None:
            if self._waits_for_port and run_script.imports(self.main_thread):
                self._ready_at = monotonic() + NO_PORT_SECONDS
            elif monotonic() >= self._ready_at:
                if self._waits_for_port:
                    self.log_note(
                        f"no port after {NO_PORT_SECONDS:.0f} s: ready without (--ready-on delay)"
                    )
                self.report_ready()
                return None
        if self._has_unshared_listener() and self._waits_for_port:
            self.report_ready()
            return None
        return SCAN_SECONDS

    def _has_unshared_listener(self) -> bool:
        """Whether a socket listens that was not made in Python.

        Two scans in a row have to find it: the first one may see a socket that is being shared.
        """
        if monotonic() < self._next_scan:
            return False
        self._next_scan = monotonic() + SCAN_SECONDS
        before, self._unshared = self._unshared, set(listening_sockets(self.patches.is_known))
        found = sorted(before & self._unshared)
        if found and not self._warned_unshared:
            self._warned_unshared = True
            log.warning(
                "%s listens on %s by a socket that was not made in Python: it cannot be shared "
                "with other workers",
                self.config.app,
                ", ".join(found),
            )
        return bool(found)

    def send(self, value: Any) -> bool:
        """Handle a message of the script to its parent: only "ready" (as in pm2) has a meaning."""
        if value == "ready":
            self.report_ready()
        return bool(value == "ready")

    def log_note(self, text: str) -> None:
        if self.args.slot == 0:
            log.info("%s: %s", self.config.app, text)

    def on_fork_in_child(self) -> None:
        super().on_fork_in_child()
        drain_child_on_sigterm(self.patches, self.config.graceful_timeout)

    # Messages of the arbiter.

    def on_message(self, message: Message | None, fds: Sequence[int]) -> None:
        match message:
            case None:
                log.warning("the arbiter is gone: draining")
                super().on_message(message, fds)
            case StartDrain():
                super().on_message(message, fds)
            case AddListeners() | RemoveListeners() if self.accept_manager:
                super().on_message(message, fds)
            case StartAccepting():
                self._release_accept()
            case ReportStacks(number):
                from pyfork.child import stack_report

                loops = stack_report.running_loops()
                report = stack_report.report(loops, lambda frame: None, below=None)
                self.arbiter.send(StacksReport(number, report))
            case ReopenLogs():
                logs.reopen()
            case HandoffTake(ticket):
                self.arbiter.send(HandoffRefused(ticket))
            case _:
                log.error("a script cannot handle the message %r", message)

    def request_disconnect(self, now: bool) -> None:
        if not now:
            self.request_recycle("its script asks for it")

    def end(self, status: int) -> None:
        self.drain(0.0, others_serve=True)

    def new_shutdown(self) -> ScriptShutdown:
        return ScriptShutdown(self.patches, self.main_thread)

    def on_shutdown(self) -> None:
        self._release_accept()

    def _release_accept(self) -> None:
        """Let a listen() that waits return."""
        if self._accept_lock.locked() and self.args.hold_accept:
            with suppress(RuntimeError):  # another thread released it
                self._accept_lock.release()

    def set_state(self, state: RowState) -> None:
        super().set_state(state)
        args = self.args
        set_title(worker_title(self.config.name, args.slot, args.generation, state.name.lower()))
