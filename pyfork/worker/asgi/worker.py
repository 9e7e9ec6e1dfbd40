"""The `asgi` worker: HTTP, WebSocket and lifespan on pyfork's engine."""

import logging
from typing import TYPE_CHECKING, Any

from pyfork.http.asgi.gateway import EAGER, AsgiGateway
from pyfork.http.connection.application_section import ApplicationSection
from pyfork.http.websocket.gateway import WebSockets
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader.load import App
from pyfork.worker.asgi.lifespan import Lifespan
from pyfork.worker.engine_worker import EngineWorker

if TYPE_CHECKING:
    from pyfork.worker.offload.loop_probe import LoopProbe

log = logging.getLogger("pyfork.error")


class AsgiWorker(EngineWorker):
    """Runs an ASGI application."""

    interface = "asgi"

    def __init__(self, args: WorkerArgs, app: App) -> None:
        super().__init__(args, app)
        self.state: dict[str, Any] = {}  # of the lifespan; copied into each scope
        self._lifespan: Lifespan | None = None
        self.gateway = self._gateway_class()(
            app.callable, loop=self.loop, root_path=self.config.root_path, state=self.state
        )
        self.websockets = WebSockets(
            self.gateway, lambda change: self.engine.count(change), memory=self.config.ws_memory
        )
        self.set_up(
            self.gateway, upgrade=self.websockets.take if self.config.ws != "none" else None
        )

        if EAGER and self.config.workers > 1 and self.receiver is not None:
            section = ApplicationSection()
            self.gateway.watch(section)
            self.watch(section, probe=self._new_probe())

    def _new_probe(self) -> "LoopProbe | None":
        from pyfork.worker.offload.loop_probe import LoopProbe

        try:
            return LoopProbe(self.row.cells, busy_after=self.config.busy_after)
        except OSError as error:
            log.debug("nothing tells of later steps that block the loop: %s", error)
            return None

    def timed_exchange(self) -> type:
        from pyfork.http.asgi.timed import TimedAsgiExchange

        return TimedAsgiExchange

    def _gateway_class(self) -> type[AsgiGateway]:
        if self.args.tls is None:
            return AsgiGateway
        from pyfork.http.tls.gateways import TlsAsgiGateway

        return TlsAsgiGateway

    async def boot(self) -> None:
        """Run the lifespan's startup. Raises BootError if the application reports a failure."""
        if self.config.lifespan == "off":
            return
        required = self.config.lifespan == "on"
        lifespan = Lifespan(self.app.callable, self.state, required=required)
        await lifespan.startup()
        self._lifespan = lifespan

    async def stop(self) -> None:
        """Run the lifespan's shutdown."""
        await super().stop()
        if self._lifespan is not None:
            await self._lifespan.shutdown()

    async def drain(self) -> None:
        self.websockets.drain()
        self.gateway.drain()
        await super().drain()
        await self._finish_tasks()

    async def _finish_tasks(self) -> None:
        """Wait for tasks: what an application does after a response belongs to that request."""
        tasks = self.gateway.tasks
        for task in tasks:
            task.add_done_callback(lambda _: self.changed.set())
        if not await self.drained(lambda: not tasks):
            log.warning("cut %d tasks that were still running", self.gateway.cut())

    def empty(self) -> bool:
        return super().empty() and not self.websockets.connections

    def cut(self) -> int:
        return super().cut() + self.websockets.abort()
