"""The arbiter: one thread, one loop, one wait.

A turn waits until a worker speaks, a signal arrives or a deadline passes; turns what happened into
facts; and has done what the supervisor then orders. Everything that can happen comes in by
`_listen`, everything that is done goes out by `_act`.

Rules: decides nothing; imports no application and reads no client byte; waits nowhere but in
`_listen`, so that whatever happens is answered at once, also in the middle of a reload.
"""

import gc
import logging
import os
import time
from collections.abc import Callable, Sequence

from pyfork.arbiter.build import build, build_parts
from pyfork.arbiter.children.watcher import WatcherSpec
from pyfork.arbiter.generations import ReloadResult
from pyfork.arbiter.reporting import log_lines
from pyfork.arbiter.upgrade.saved_state import ExecState, OldArbiter, Previous
from pyfork.config.config import Config
from pyfork.config.directory import Start
from pyfork.errors import ExitStatus, HookError, PyforkError
from pyfork.ipc import titles
from pyfork.log import setup

log = logging.getLogger("pyfork.error")

RETRY = 0.1  # seconds until the log's reader is tried again


class Arbiter:
    """Holds the port and keeps the workers.

    Args:
        config: of the first generation.
        reread: returns the configuration anew, at each reload; raises ConfigError.
        worker_main: dotted name of a `WorkerMain`, resolved in each worker.
        start: where pyfork was started.
        watched: who watches the files where --reload is asked for.
        heritage: what this arbiter follows, if it does.
        notes: what there is to say of the configuration, a line each.
    """

    def __init__(
        self,
        config: Config,
        *,
        reread: Callable[[], Config],
        worker_main: str,
        heritage: Previous = None,
        watched: WatcherSpec | None = None,
        start: Start | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self._heritage = heritage
        self._notes = notes
        self._hook_error: HookError | None = None  # why an exec comes to no new workers
        self._retry_at: float | None = None  # to write log lines that wait for their reader
        self._house = build_parts(
            config,
            heritage,
            reread=reread,
            worker_main=worker_main,
            start=start or Start.of_process(os.environ),
        )
        self._parts = build(self._house, heritage, watched)

    def run(self) -> ExitStatus:
        """Serve until told to stop. Returns the exit status of the command.

        Raises:
            PyforkError: it could not start: a log file, an address or the pid file is not to be
                had. Nothing is left behind then.
        """
        orders, generations = self._parts.orders, self._house.generations
        try:
            self._start(generations.config(generations.first))
            patience: float | None = 0.0
            while orders.status is None:
                self._wait_for_events(patience)
                orders.run_pending()
                self._tick()
                patience = self._timeout()
            return orders.status
        finally:
            self._end()

    def rehearse(self) -> None:
        """Come as near to `run` as nobody can notice; what there is, is a copy of an estate.

        Raises:
            PyforkError: it would not run. Whatever else there is to raise says the same.
        """
        assert isinstance(self._heritage, ExecState)
        config = self._house.generations.config(self._house.generations.first)
        self._parts.premises.open_for_dry_run(config, self._heritage)
        self._house.crew.restore(self._heritage.survivors)
        setup.configure(config)

    # A turn.

    def _wait_for_events(self, patience: float | None) -> None:
        """Wait, at most ``patience`` seconds, and take in what has happened.

        Workers are heard before signals are read, and what they said has its consequences first:
        who was ready before a stop was asked for is retired, not killed.
        """
        house, parts = self._house, self._parts
        house.wires.wait(patience)
        if meanings := house.inbox.read():
            parts.orders.run_pending()
        for meaning in meanings:
            parts.errands.handle_signal(meaning)
        parts.liaison.read_scoreboard()

    def _tick(self) -> None:
        """What follows from what is, whatever has happened: each compares, and does the rest."""
        house, parts = self._house, self._parts
        house.hooks.check_worker_count()
        house.ports.handles.tick(time.monotonic())
        parts.dispatch.tick(time.monotonic())
        parts.upgrade.tick(time.monotonic())
        parts.watch.tick(time.monotonic())
        parts.liaison.push_certificates(time.monotonic())
        parts.requests.notify_waiters()
        parts.control.act(time.monotonic())
        parts.accession.tick()
        parts.herald.tick(time.monotonic())
        parts.log_process.act(time.monotonic())
        self._retry_at = None if setup.flush() else time.monotonic() + RETRY

    def _timeout(self) -> float | None:
        """How long to wait for something to happen, at most."""
        house, parts = self._house, self._parts
        deadlines = (
            parts.dispatch.deadline,
            house.supervisor.deadline(),
            parts.upgrade.deadline,
            parts.herald.deadline,
            house.ports.handles.deadline,
            parts.watch.deadline,
            parts.control.deadline,
            self._retry_at,
            parts.log_process.deadline,
            house.generations.certificates.deadline,
        )
        times = [deadline for deadline in deadlines if deadline is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    # From nothing to the loop, and back.

    def _start(self, config: Config) -> None:
        house, parts = self._house, self._parts
        in_charge = not isinstance(self._heritage, OldArbiter)
        if isinstance(self._heritage, ExecState):
            self._heritage.mark_cloexec()
        setup.configure(config)
        setup.identify("arbiter")
        parts.log_process.act(time.monotonic())
        titles.set_title(titles.arbiter_title(config.name, config.app))
        for note in self._notes:
            log.info("%s", note)
        self._call(house.hooks.start)
        parts.premises.open(config, self._heritage)
        if in_charge:
            parts.control.open(config.control)
        house.wires.watch(house.inbox, lambda mask: None)  # read after the workers: see _listen
        parts.console.log_start(config)
        self._call(house.hooks.ready)
        gc.freeze()  # what is here now stays: keep the collector off the pages that workers share
        if in_charge:
            generations = house.generations
            parts.watch.apply_config(config, generations.directory(generations.first))
        if isinstance(self._heritage, ExecState):
            self._resume_after_exec(self._heritage)

    def _call(self, hooks: Callable[[], None]) -> None:
        """Call ``hooks`` of the start: what they raise stops it; after an exec, the upgrade."""
        try:
            hooks()
        except HookError as error:
            if not isinstance(self._heritage, ExecState):
                raise
            self._hook_error = self._hook_error or error

    def _resume_after_exec(self, estate: ExecState) -> None:
        """After an exec: the workers are there, and serve the code of before."""
        crew, parts = self._house.crew, self._parts
        crew.restore(estate.survivors)
        for member in crew:
            parts.liaison.connect(member)
        parts.liaison.reap()
        parts.requests.resume([parts.control.resume(fd) for fd in estate.clients])
        try:
            if self._hook_error is not None:
                text = f"upgrade failed, the workers of before serve on: {self._hook_error}"
                log.error(log_lines.with_detail(text, self._hook_error.detail))
                raise self._hook_error
            parts.upgrade.renew(parts.errands.reload())
        except PyforkError as error:
            parts.upgrade.renewed(ReloadResult(None, time.monotonic(), str(error), error.detail))

    def _end(self) -> None:
        house, parts = self._house, self._parts
        parts.watch.close()
        parts.premises.close()
        for member in house.crew:  # normally none: EOF tells them
            member.channel.close()
        house.inbox.close()
        house.hooks.end()
        parts.log_process.close()
        parts.control.close()  # last: who waits for our end sees it
        house.wires.close()
