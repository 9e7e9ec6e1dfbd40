"""The life cycle of a worker: boot, serve, drain, exit.

`BaseWorker` has what every worker class shares. A subclass implements how it boots, accepts,
drains and stops. All waiting happens in one loop. The arbiter sends messages through the channel;
if it closes the channel, the worker drains and exits. `main` starts a worker.
"""

import asyncio
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pyfork.child.signals import blocked, ignore_arbiter_signals
from pyfork.errors import BootError, ExitStatus
from pyfork.ipc.channel import ChannelClosed
from pyfork.ipc.messages import (
    HandoffRefused,
    HandoffTake,
    Message,
    Recycle,
    ReopenLogs,
    ReportStacks,
    StacksReport,
    StartAccepting,
    StartDrain,
    UpdateCertificates,
    WorkerReady,
)
from pyfork.ipc.scoreboard import RowState
from pyfork.ipc.titles import set_title, worker_title
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader.code_version import code_version
from pyfork.loader.debug_mode import in_debug_mode
from pyfork.loader.load import App
from pyfork.log import setup as logs
from pyfork.net.tls.pem_files import PemFiles
from pyfork.record import asdict
from pyfork.system.process import resident
from pyfork.worker import hooks
from pyfork.worker.exit import descendants, ending
from pyfork.worker.exit.running import run
from pyfork.worker.exit.termination import Termination, ignore

if TYPE_CHECKING:
    from pyfork.config.config import Config
    from pyfork.net.tls.session import Context

log = logging.getLogger("pyfork.error")

TICK_SECONDS = 1.0  # seconds between two checks of deadlines, memory and the clock
LOG_RETRY_SECONDS = 0.1  # seconds until a write to a full log is tried again


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Make an event loop of the given kind: uvloop if installed, or asyncio's."""
    if kind != "asyncio":
        try:
            import uvloop
        except ImportError:
            if kind == "uvloop":
                raise BootError("--loop uvloop: uvloop is not installed") from None
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()


async def _cancel_tasks(patience: float) -> None:
    """Cancel the application's remaining tasks and wait ``patience`` seconds for them."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=patience)


class BaseWorker:
    """The life cycle. Subclasses implement its steps."""

    interface = "any"  # required of the application: "wsgi", "asgi" or "any"
    # Supported values of --dispatch; the others have sources of connections besides the listeners.
    dispatches: Container[str] = ("least", "shared")

    def __init__(self, args: WorkerArgs, app: App) -> None:
        self.args = args
        self.config = args.config
        self.app = app
        self.row = args.row
        self.loop = new_loop(args.config.loop)
        self.may_accept: asyncio.Future[None] = self.loop.create_future()
        self.draining = asyncio.Event()
        self.drain_deadline = 0.0  # monotonic seconds; requests that still run then are cut
        self.handoff = False  # other workers take over idle connections
        self.changed = asyncio.Event()  # set when a condition that is waited for may have changed
        self._worn = False
        self._next_beat = 0.0  # monotonic seconds
        self._lags = deque([0.0, 0.0], maxlen=10)  # seconds by which beats were late
        self._termination: Termination

    # Implemented by a subclass.

    @classmethod
    def later_modules(cls, config: "Config") -> Iterator[str]:
        """The modules that a worker imports when it needs them. A fork server imports them once."""
        yield from ()

    async def boot(self) -> None:
        """Prepare to serve. Raises BootError."""

    def accept(self) -> None:
        """Begin to accept connections."""
        raise NotImplementedError

    def tick(self, now: float) -> None:
        """Run periodic checks, once a second; ``now`` is in monotonic seconds."""

    async def drain(self) -> None:
        """Stop accepting; return when requests are complete or `drain_deadline` has passed."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Shut the application down."""

    # Called by a subclass.

    def tls_context(self) -> "Context | None":
        """Return the TLS context, if there is one: one object for life, see `net.tls`."""
        return self.args.tls.context if self.args.tls else None

    def request_recycle(self, reason: str) -> None:
        """Ask the arbiter for a replacement; serve until that is ready."""
        if not self._worn:
            self._worn = True
            self.send(Recycle(reason))

    async def drained(self, done: Callable[[], bool]) -> bool:
        """Wait until ``done()`` or until `drain_deadline`. Returns whether it is done.

        ``done`` is called after each change.
        """
        while not done():
            left = self.drain_deadline - time.monotonic()
            if left <= 0:
                return False
            self.changed.clear()
            timer = self.loop.call_later(left, self.changed.set)
            await self.changed.wait()
            timer.cancel()
        return True

    # The life cycle.

    def run(self) -> int:
        """Run the worker. Returns the exit status; raises BootError."""
        if self.interface != "wsgi":  # only these get a loop of their own
            asyncio.set_event_loop(self.loop)
        self.loop.add_reader(self.args.channel.fileno(), self._on_readable)
        self._handle_signals()
        self._keep_from_children()
        try:
            status = run(self.loop, self._live())
        except BootError:
            self._close_loop()  # under --reload an error page may follow in this process
            raise
        self._end(status)
        return status

    def _handle_signals(self) -> None:
        """Handle the signals that an operator may send to one worker."""
        grace = self.config.graceful_timeout
        leave = partial(self._on_signal, signal.SIGTERM, grace)
        self._termination = Termination(self.loop, leave)
        for number in (signal.SIGINT, signal.SIGQUIT):
            self.loop.add_signal_handler(number, self._on_signal, number, 0.0)
        self.loop.add_signal_handler(signal.SIGUSR1, logs.reopen)

    def _on_signal(self, number: signal.Signals, grace: float) -> None:
        if not self.draining.is_set():
            log.info("%s: this worker drains", number.name)
        self.retire(grace)

    def _keep_from_children(self) -> None:
        """Close the worker's descriptors in processes that the application forks."""
        args = self.args
        queue = args.queue.ends() if args.queue is not None else ()
        private = (args.channel, *args.listeners, *queue)
        descendants.release_in_children(args.addresses, private, self._termination)

    def retire(self, grace: float) -> None:
        """Drain within ``grace`` seconds. A repeated call can only shorten that."""
        leave_by = time.monotonic() + grace
        if not self.draining.is_set() or leave_by < self.drain_deadline:
            self.drain_deadline = leave_by
        if grace == 0.0 and self.args.hook_worker is not None:
            hooks.on_interrupt(self.args.hook_worker)
        self._termination.call_application_handler()
        self.draining.set()
        self.changed.set()

    def _end(self, status: int) -> None:
        """End the loop as `asyncio.run` does; the rest of the grace is for the interpreter."""
        ending.limit_exit(self.drain_deadline - time.monotonic(), status)
        run(self.loop, _cancel_tasks(ending.MIN_EXIT_SECONDS))
        run(self.loop, self.loop.shutdown_asyncgens())
        self._close_loop()

    def _close_loop(self) -> None:
        """Close the loop; the signals that it handled are ignored from now on."""
        self._termination.release()
        with blocked():
            self.loop.close()
            ignore_arbiter_signals()
            for number in (signal.SIGTERM, signal.SIGQUIT):
                signal.signal(number, ignore)

    async def _live(self) -> int:
        if not await self._boot():
            return ExitStatus.OK
        if self.args.hold_accept:
            self._report_ready()
            await self._until(self.may_accept)
        # StartAccepting and StartDrain came together: this worker must still serve queued clients.
        if self.may_accept.done() or not self.draining.is_set():
            self.accept()
            self._set_state(RowState.SERVING)
        self._beat()
        if not self.args.hold_accept:
            self._report_ready()
        await self.draining.wait()
        self._set_state(RowState.DRAINING)
        await self.drain()
        await self._stop()
        self.tick(time.monotonic())  # the last requests are counted
        return ExitStatus.OK

    def _report_ready(self) -> None:
        """Tell the arbiter, with the state of the code that was imported."""
        directories = (os.getcwd(), *self.config.pythonpath)
        # A look at every module writes to its reference count, and to the pages that a fork shares.
        shared = self.config.reload or self.config.preload
        code = [] if shared else list(code_version(directories))
        debug = in_debug_mode(self.app.callable)
        self.send(WorkerReady(self.app.interface, self.app.links, code, debug))

    async def _boot(self) -> bool:
        """Boot, unless a drain begins before."""
        boot = self.loop.create_task(self.boot())
        await self._until(boot)
        if boot.done():
            boot.result()
            return True
        boot.cancel()
        return False

    async def _until(self, done: "asyncio.Future[None]") -> None:
        """Wait for ``done`` or for a drain."""
        done.add_done_callback(lambda _: self.changed.set())
        while not (done.done() or self.draining.is_set()):
            self.changed.clear()
            await self.changed.wait()

    async def _stop(self) -> None:
        """Run the application's shutdown for the remaining time, but for a minimum at least."""
        left = max(1.0, self.drain_deadline - time.monotonic())
        try:
            await asyncio.wait_for(self.stop(), left)
        except TimeoutError:
            log.warning("the application's shutdown took over %.0f s and was cut", left)

    def _beat(self) -> None:
        now = time.monotonic()
        self._lags.append(now - self._next_beat if self._next_beat else 0.0)
        self._next_beat = now + TICK_SECONDS
        self.row.loop_lag = max(0.0, *self._lags)
        timeout = self.config.timeout
        # The last tick may be TICK_SECONDS ago when the loop is taken: the app gets its whole
        # timeout.
        self.row.deadline = now + timeout + TICK_SECONDS if timeout else 0.0
        self.tick(now)
        self._retry_logs()
        self._check_memory()
        self.loop.call_later(TICK_SECONDS, self._beat)

    def _retry_logs(self) -> None:
        """Write log lines that wait for room; schedule a retry if some remain."""
        if not logs.flush():
            self.loop.call_later(LOG_RETRY_SECONDS, self._retry_logs)
        self.row.lost = logs.lost()

    def _check_memory(self) -> None:
        """Ask for a replacement when the resident memory exceeds ``--max-memory``."""
        limit = self.config.max_memory
        if not limit or self._worn:
            return
        size = resident() or 0
        if size > limit:
            self.request_recycle(
                f"it uses {size >> 20} MiB of memory, --max-memory is {limit >> 20} MiB"
            )

    def _set_state(self, state: RowState) -> None:
        self.row.state = state
        slot, generation = self.args.slot, self.args.generation
        set_title(worker_title(self.config.name, slot, generation, state.name.lower()))

    def _on_readable(self) -> None:
        """Read messages of the arbiter."""
        channel = self.args.channel
        try:
            for received in channel.receive():
                self.handle_message(received.message, received.fds)
        except ChannelClosed:
            self.loop.remove_reader(channel.fileno())
            log.warning("the arbiter is gone: draining")
            self.on_arbiter_lost()

    def on_arbiter_lost(self) -> None:
        """Drain: the arbiter is gone."""
        self.retire(self.config.graceful_timeout)

    def handle_message(self, message: Message, fds: Sequence[int]) -> None:
        """Handle a message of the arbiter. An override owns the ``fds``."""
        for fd in fds:
            os.close(fd)
        match message:
            case StartDrain(grace, handoff):
                self.handoff = handoff
                self.retire(grace)
            case StartAccepting():
                if not self.may_accept.done():
                    self.may_accept.set_result(None)
            case UpdateCertificates() if self.args.tls:
                self.args.tls.renew(PemFiles(**asdict(message)))
            case ReportStacks(number):
                from pyfork.worker import stacks

                self.send(
                    StacksReport(number, stacks.report(self.loop, BaseWorker._on_readable.__code__))
                )
            case ReopenLogs():
                logs.reopen()
            case HandoffTake(ticket):
                self.send(HandoffRefused(ticket))
            case _:
                log.error("no worker understands %r", message)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send ``message`` to the arbiter."""
        channel = self.args.channel
        channel.send(message, fds)
        if channel.pending:
            self.loop.add_writer(channel.fileno(), self._flush)

    def _flush(self) -> None:
        channel = self.args.channel
        channel.flush()
        if not channel.pending:
            self.loop.remove_writer(channel.fileno())
