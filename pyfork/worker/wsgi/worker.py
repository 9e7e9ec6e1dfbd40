"""The `sync` and `thread` workers: a WSGI application in the loop's thread, or in a pool."""

import os
import signal
import time
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING

from pyfork.errors import BootError, ConfigError
from pyfork.http.connection.timeouts.phase import ConnectionPhase
from pyfork.http.wsgi.gateway import EXTEND_TIMEOUT, WsgiGateway
from pyfork.http.wsgi.output import BufferSpace, DirectOutput, QueuedOutput, ResponseBuffer
from pyfork.http.wsgi.runners import InlineRunner
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader.load import App
from pyfork.system.environment import script_name
from pyfork.worker.base import TICK_SECONDS
from pyfork.worker.engine_worker import EngineWorker

if TYPE_CHECKING:
    from pyfork.config.config import Config
    from pyfork.http.connection.connection import Connection
    from pyfork.worker.wsgi.threads import ThreadRunner


class WsgiWorker(EngineWorker):
    """Runs a WSGI application; in several threads if --threads says so."""

    interface = "wsgi"

    def __init__(self, args: WorkerArgs, app: App) -> None:
        super().__init__(args, app)
        config = self.config
        threaded = config.threads != 1 or config.worker_class == "thread"
        self._room = BufferSpace(each=config.response_buffer, spool=config.response_spool)
        self._pool = self._new_pool() if threaded else None
        self._inline = InlineRunner(self.loop)
        self._gateway = gateway = self._gateway_class()(
            app.callable,
            self._inline,
            pool=self._pool,
            new_output=self._queued_output if threaded else self._direct_output,
            alive=_loop_keeps_deadline if threaded else self._alive,
            multithread=threaded and config.threads != 1,
            multiprocess=config.workers > 1,
            root_path=config.root_path or _script_name(),
            body_memory=config.body_memory,
            left=self.changed.set,
        )
        if threaded and args.tls is None:
            from pyfork.http.wsgi.takeover import SocketExchange
            from pyfork.worker.offload.overflow import OverflowConnection

            self.connection_class = OverflowConnection
            gateway.exchange = SocketExchange
        self.set_up(gateway)
        if not threaded:
            self.watch(self._inline)
            if config.timeout:
                gateway.environs.add(EXTEND_TIMEOUT, self._extend_timeout)

    @classmethod
    def later_modules(cls, config: "Config") -> Iterator[str]:
        yield from super().later_modules(config)
        if config.threads:
            yield "pyfork.worker.wsgi.threads"
        else:
            yield "pyfork.worker.wsgi.auto_threads"
        yield "pyfork.http.wsgi.takeover"
        yield "pyfork.worker.offload.overflow"

    def timed_exchange(self) -> type:
        from pyfork.http.wsgi.timed import TimedWsgiExchange

        return TimedWsgiExchange

    def _new_pool(self) -> "ThreadRunner":
        def went_on() -> None:
            self.acceptor.add_credit()

        if threads := self.config.threads:
            from pyfork.worker.wsgi.threads import ThreadRunner  # most workers have one thread

            return ThreadRunner(self.loop, threads, self._pool_changed, went_on)
        from pyfork.worker.wsgi.auto_threads import AutoThreads, most_threads

        return AutoThreads(self.loop, most_threads(), self._pool_changed, went_on)

    def _gateway_class(self) -> type[WsgiGateway]:
        if self.args.tls is None:
            return WsgiGateway
        from pyfork.http.tls.gateways import TlsWsgiGateway

        return TlsWsgiGateway

    def _direct_output(self, connection: "Connection") -> ResponseBuffer:
        limit, progress = (
            self._limits.seconds[ConnectionPhase.WRITE],
            self._limits.progress[ConnectionPhase.WRITE],
        )
        return DirectOutput(
            connection, self._room, limit=limit, progress=progress, alive=self._alive
        )

    def _queued_output(self, connection: "Connection") -> ResponseBuffer:
        return QueuedOutput(connection, self._room)

    def accept(self) -> None:
        self.acceptor.inline = self._pool is None
        if self._pool is None:  # the application's event loops run in the same thread as ours
            self._inline.learn_wakeup()
            self._termination.pass_through(self._inline.on_signal)
            signal.signal(signal.SIGQUIT, self._inline.on_signal)
            for number in (signal.SIGTERM, signal.SIGQUIT):
                signal.siginterrupt(number, False)  # as event loops do
        super().accept()

    def tick(self, now: float) -> None:
        self._inline.restore_wakeup()
        super().tick(now)

    def empty(self) -> bool:
        """Whether no connection is left, and no application code runs for a client that is gone."""
        return super().empty() and not self._gateway.abandoned

    def _alive(self) -> None:
        """Extend the deadline: the application has ``--timeout`` for its next piece."""
        timeout = self.config.timeout
        if timeout:
            self.row.deadline = time.monotonic() + timeout + TICK_SECONDS

    def _extend_timeout(self, seconds: float) -> None:
        """The application's: the request that runs may take so many seconds more, from now on."""
        if not 0 <= seconds < inf:
            raise ValueError(f"not a number of seconds: {seconds!r}")
        self.row.deadline = max(self.row.deadline, time.monotonic() + seconds)

    def _pool_changed(self) -> None:
        """Leave new connections to workers with a free thread, if there are any.

        A pool that can grow accepts: a request has to wait for that. `held` says that it is busy.
        """
        pool = self._pool
        assert pool is not None
        self.row.held = pool.full and not pool.exhausted
        if pool.exhausted:
            self.acceptor.saturate(pool.most)
        if pool.full:
            self.set_overflow(True)
        else:
            self.set_overflow(False)
        if not pool.exhausted:
            self.acceptor.desaturate()


def _script_name() -> str:
    """Return SCRIPT_NAME from the environment. Raises BootError."""
    try:
        return script_name(os.environ)
    except ConfigError as error:
        raise BootError(str(error)) from error


def _loop_keeps_deadline() -> None:
    """A substitute for `_alive` where the loop keeps the deadline: threads run the application."""
