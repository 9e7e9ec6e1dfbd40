"""Turns the messages and exits of workers into events for the supervisor.

Rules: decides nothing, waits for nothing.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence
from functools import partial

from pyfork.arbiter.children.status_process import StatusProcess
from pyfork.arbiter.children.watcher import WatcherProcess
from pyfork.arbiter.component import Component
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.dispatch import Dispatch
from pyfork.arbiter.listeners.handoff import HandoffBroker
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.preload.fork_servers import PreloadFailure
from pyfork.arbiter.reporting import log_lines
from pyfork.arbiter.reporting.history import History, why_left
from pyfork.arbiter.reporting.stacks import StackQueries
from pyfork.arbiter.upgrade.new_side import Takeover
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.workers import fork
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.clock import earliest
from pyfork.cluster import orphans
from pyfork.ipc import messages
from pyfork.ipc.poller import Poller, deliver
from pyfork.log.formatter import with_detail
from pyfork.record import asdict, entity, field
from pyfork.supervisor import events
from pyfork.supervisor.supervisor import EXPECTED_KILLS, LATE_DRAIN, Supervisor
from pyfork.system.oom_kills import OomKills
from pyfork.system.terminal import TerminalModes

log = logging.getLogger("pyfork.error")

EXIT_LAG = 0.2  # seconds: a process that ends closes its files a little before it can be reaped

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes; see getrusage(2)


@entity
class WorkerMessages(Component):
    """Receives the messages of all workers, sends to them, and reaps children."""

    poller: Poller
    supervisor: Supervisor
    generations: Generations
    listeners: ListenerTable
    pool: WorkerPool
    handoffs: HandoffBroker
    takeover: Takeover
    upgrade: Upgrade
    dispatch: Dispatch
    watcher: WatcherProcess
    status: StatusProcess
    history: History
    stacks: StackQueries
    oom_kills: OomKills = field(default_factory=OomKills)
    terminal: TerminalModes = field(default_factory=TerminalModes)
    _unforked: dict[int, float] = field(default_factory=dict)  # deadlines, by serial
    _early: dict[int, str] = field(default_factory=dict)  # exits of unknown children, by pid
    _logged: set[tuple[int, str]] = field(default_factory=set)  # by generation and text

    # Received.

    def connect(self, worker: WorkerProcess) -> None:
        """Receive the messages of a worker."""
        self.poller.connect(
            worker.channel, partial(self._handle, worker), partial(self._on_closed, worker)
        )
        self.dispatch.add_worker(worker)

    def read_scoreboard(self, now: float) -> None:
        """Feed each worker's heartbeat deadline to the supervisor."""
        for worker in self.pool:
            heartbeat = events.HeartbeatMoved(worker.serial, worker.row.deadline)
            self.supervisor.feed(heartbeat, now)

    @property
    def deadline(self) -> float | None:
        """When the certificate files, or workers without a process, are checked next."""
        return earliest(self.generations.certificates.deadline, *self._unforked.values())

    def tick(self, now: float) -> None:
        """Send workers changed certificates; remove workers that were not forked in time."""
        for serial in [each for each, limit in self._unforked.items() if limit <= now]:
            self._record_unforked(serial, "its fork server could not fork it")
        for generation, files in self.generations.certificates.tick(now):
            update = messages.UpdateCertificates(**asdict(files))
            self.broadcast(update, generation)
            self.pool.fork_servers.send(update, generation)

    def _handle(
        self, worker: WorkerProcess, message: messages.Message, fds: Sequence[int] = ()
    ) -> None:
        """Feed a worker's message to the supervisor, or pass it on."""
        match message:
            case messages.WorkerReady(interface=interface, links=links, code=code, debug=debug):
                worker.ready_at, worker.interface = time.monotonic(), interface
                worker.links, worker.debug = links, debug
                if interface == "script":
                    orphans.become_subreaper()
                took = (worker.ready_at - worker.born) * 1000
                log.info(
                    "%s is ready after %.0f ms (%s)", log_lines.name_of(worker), took, interface
                )
                if self.generations.record_code(worker.generation, code):
                    log.warning(
                        "%s has imported other code than its generation: files have changed since "
                        "(reload, or use --preload)",
                        log_lines.name_of(worker),
                    )
                self._feed(events.Ready(worker.serial))
                serving = self.supervisor.serving
                accepting = serving.active and self.takeover.active
                if accepting and serving.number == worker.generation:
                    self._admit(worker)
            case messages.WorkerStarted(pid=pid):
                self.pool.started(worker, pid)
                if (how := self._early.pop(pid, None)) and not _exists(pid):
                    self._record_exit(worker, how)
            case messages.Failed():
                self._failed(worker, message)
            case messages.ErrorPageShown(reason=reason, detail=detail):
                self.generations.record_boot_error(worker.generation, message)
                self._log_once(worker, reason, detail)
            case messages.StacksReport(number=number, report=report):
                self.stacks.answer(number, report)
            case messages.Recycle(reason=reason):
                self.recycle(worker, reason)
            case messages.HandoffOffer(connection=connection):
                new_arbiter = self.upgrade.new_arbiter
                takers = [new_arbiter] if new_arbiter else self.pool
                self.handoffs.offer(worker, connection, fds, takers)
            case messages.HandoffAccepted(ticket=ticket):
                self.handoffs.complete(ticket, taken=True)
            case messages.HandoffRefused(ticket=ticket):
                self.handoffs.complete(ticket, taken=False)
            case _:
                if not self._handle_script(worker, message, fds):
                    name = log_lines.name_of(worker)
                    log.error("unexpected message from %s: %s", name, message)

    def _handle_script(
        self, worker: WorkerProcess, message: messages.Message, fds: Sequence[int]
    ) -> bool:
        """Handle a message of a script's worker. Returns False for any other message."""
        handles = self.listeners.handles
        match message:
            case messages.QueryServer() if fds:
                answer, handle = handles.query(
                    message, fds[0], worker=worker.serial, generation=worker.generation
                )
                self.poller.send(worker.channel, answer, handle)
            case messages.FileQuery(number=number, path=path):
                self.poller.send(worker.channel, messages.FileAnswer(number, handles.holds(path)))
            case messages.ScriptListening(key=key, dispatch=policy):
                if address := handles.listens(key):
                    log.info("%s listens on %s", log_lines.name_of(worker), address)
                self.dispatch.add_acceptor(worker, key, policy)
            case messages.ScriptClosed(key=key):
                self.dispatch.remove_acceptor(worker, key)
                handles.closed(key, worker.serial)
            case _:
                return False
        return True

    def _failed(self, worker: WorkerProcess, error: messages.Failed) -> None:
        worker.boot_error = error
        self._feed(events.BootFailed(worker.serial, error.reason, error.detail))
        self._log_boot_failure(worker, error.reason, error.detail)

    def preload_failed(self, failure: PreloadFailure) -> None:
        """A fork server could not import the application: its waiting workers cannot boot."""
        for worker in self.pool:
            if worker.fork_server == failure.fork_server and not worker.pid:
                self._failed(worker, messages.Failed(failure.reason, failure.detail))

    def _log_boot_failure(self, worker: WorkerProcess, reason: str, detail: str) -> None:
        """Log why a worker could not boot, with each traceback of a generation once.

        A failure that ends a reload, or the server, is logged with that end.
        """
        supervisor = self.supervisor
        for generation in (supervisor.candidate, supervisor.serving):
            if generation and generation.number == worker.generation and generation.failure:
                return
        if (worker.generation, detail) in self._logged:
            detail = ""
        self._logged.add((worker.generation, detail))
        log.error(with_detail(f"{log_lines.name_of(worker)} could not boot: {reason}", detail))

    def _log_once(self, worker: WorkerProcess, text: str, detail: str) -> None:
        """Log a message that all workers of a generation send, once."""
        if (worker.generation, text + detail) not in self._logged:
            self._logged.add((worker.generation, text + detail))
            log.error(with_detail(text, detail))

    def recycle(self, worker: WorkerProcess, reason: str) -> None:
        """Replace a worker; it serves until its replacement does."""
        log.info("%s will be replaced: %s", log_lines.name_of(worker), reason)
        worker.recycle_reason = worker.recycle_reason or reason
        self._feed(events.RecycleRequested(worker.serial, reason))

    # Exits.

    def reap(self) -> None:
        """Wait for every child that has exited. If this is PID 1, others are among them."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            how = fork.describe_exit(status)
            if worker := self.pool.with_pid(pid):
                self._record_exit(worker, how, usage.ru_maxrss * _MAXRSS_UNIT)
            elif self.pool.fork_servers.exited(pid, how):
                how = f"its fork server ended: {how}"
                self._fork_server_exited(pid, how)
                self._note_early(pid, how)
            elif not (
                self.upgrade.exited(pid, how)
                or self.watcher.exited(pid, how)
                or self.status.exited(pid, how)
            ):
                log.debug("reaped process %d, no worker: %s", pid, how)
                self._note_early(pid, how)

    def _note_early(self, pid: int, how: str) -> None:
        """Remember the end of a fork server, or of a worker whose process id is not known yet."""
        if any(not worker.pid for worker in self.pool):
            self._early[pid] = how
        else:
            self._early.clear()

    def _on_closed(self, worker: WorkerProcess, why: str) -> None:
        """The channel of a worker has closed."""
        log.debug("%s closed its channel: %s", log_lines.name_of(worker), why)
        if worker.pid:
            return
        self._unforked[worker.serial] = time.monotonic() + EXIT_LAG
        if how := self._early.get(worker.fork_server):
            self._record_unforked(worker.serial, how)

    def _fork_server_exited(self, fork_server: int, how: str) -> None:
        """The process ``fork_server`` has ended."""
        for worker in self.pool:
            if worker.fork_server == fork_server and worker.serial in self._unforked:
                self._record_unforked(worker.serial, how)

    def _record_unforked(self, serial: int, how: str) -> None:
        del self._unforked[serial]
        worker = self.pool.get(serial)
        if worker is not None and not worker.pid:
            self._record_exit(worker, how)

    def _record_exit(self, worker: WorkerProcess, how: str, memory: int = 0) -> None:
        self.terminal.restore()  # it may have died at the prompt of a debugger
        for received in worker.unread_messages():
            deliver(partial(self._handle, worker), received.message, received.fds)
        now = time.monotonic()
        # A signal to the whole process group may end a worker before its arbiter tells it to stop.
        expected = worker.retiring or self.supervisor.stop_requested
        if expected and how == "exit status 0":
            log.info(log_lines.exit_line(worker, now))
            reason = why_left(worker, self.supervisor)
            self.history.add_end(worker, reason, now, ok=True, memory=memory)
        else:
            self.pool.deaths += worker.kill_reason not in EXPECTED_KILLS
            oom = self._out_of_memory() if how == "killed by SIGKILL" else None
            log.log(
                self._log_level(worker), log_lines.death_line(worker, how, now, out_of_memory=oom)
            )
            cause = log_lines.death_cause(worker, how, out_of_memory=oom)
            self.history.add_end(
                worker, cause, now, ok=worker.kill_reason in EXPECTED_KILLS, memory=memory
            )
        if worker.interface == "script":
            orphans.end(worker.slot)
        self.poller.unwatch(worker.channel)
        self.dispatch.remove_worker(worker)
        self.pool.remove(worker)
        self.handoffs.drop_worker(worker)
        self.listeners.handles.gone(worker.serial)
        self._feed(events.Exited(worker.serial, how))

    def _log_level(self, worker: WorkerProcess) -> int:
        """The level for an exit: a boot error is logged already, and with --reload an old worker
        is killed without delay."""
        if worker.boot_error or (worker.kill_reason in EXPECTED_KILLS and worker.ready_at is None):
            return logging.DEBUG
        cut = (
            worker.kill_reason == LATE_DRAIN
            and self.generations.config(self.generations.newest).reload
        )
        return logging.INFO if cut or worker.kill_reason in EXPECTED_KILLS else logging.ERROR

    def _out_of_memory(self) -> bool | None:
        """Whether the kernel killed a process for lack of memory; None: unknown."""
        return self.oom_kills.happened() if self.oom_kills.known else None

    # Sent.

    def broadcast(self, message: messages.Message, generation: int | None = None) -> None:
        """Send a message to all workers, or to those of one generation."""
        for worker in self.pool:
            if generation in (None, worker.generation):
                self.poller.send(worker.channel, message)

    def start_accepting(self, generation: int) -> None:
        """Tell the workers of a generation to accept."""
        for worker in self.pool:
            if worker.generation == generation:
                self._admit(worker)

    def _admit(self, worker: WorkerProcess) -> None:
        if worker.hold_accept:
            worker.hold_accept = False
            self.poller.send(worker.channel, messages.StartAccepting())

    def _feed(self, event: events.Event) -> None:
        self.supervisor.feed(event, time.monotonic())


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
