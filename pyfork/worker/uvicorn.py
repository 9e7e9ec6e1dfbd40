"""The `uvicorn` worker: stock uvicorn.Server on the shared listeners, driven by the channel.

What uvicorn can do, can be had; what pyfork's engine does (deadlines, fair accept), cannot.
"""

import asyncio
import socket
import time
from typing import TYPE_CHECKING

from pyfork.errors import BootError
from pyfork.ipc.birth import Birth
from pyfork.worker.app import App
from pyfork.worker.life import Worker

if TYPE_CHECKING:
    import uvicorn


class UvicornWorker(Worker):
    """Runs an ASGI application, or a WSGI one by uvicorn's own middleware."""

    def __init__(self, birth: Birth, app: App) -> None:
        super().__init__(birth, app)
        self._server = _server(birth, app)
        self._serving: asyncio.Task[None] | None = None

    async def boot(self) -> None:
        """Start the server and wait until it says that it has started."""
        server = self._server
        listeners: list[socket.socket] = list(self.birth.listeners)
        started = server.booted = asyncio.Event()  # type: ignore[attr-defined]
        self._serving = self.loop.create_task(server.serve(sockets=listeners))
        waiting = self.loop.create_task(started.wait())
        await asyncio.wait((self._serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            waiting.cancel()
            raise BootError("uvicorn did not start: the application's startup failed")

    def accept(self) -> None:
        """uvicorn accepts since it started."""

    def beat(self, now: float) -> None:
        state = self._server.server_state
        self.line.connections = len(state.connections)
        self.line.requests = state.total_requests

    async def drain(self) -> None:
        assert self._serving is not None
        server, serving = self._server, self._serving
        serving.add_done_callback(lambda _: self.changed.set())
        left = max(1, round(self.leave_by - time.monotonic()))
        server.config.timeout_graceful_shutdown = left
        server.should_exit = True
        if not await self.drained(serving.done):
            server.force_exit = True
            await asyncio.wait((serving,), timeout=1.0)


def _server(birth: Birth, app: App) -> "uvicorn.Server":
    import uvicorn

    config = birth.config

    class Server(uvicorn.Server):
        """Says when it has started."""

        booted: asyncio.Event

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                self.booted.set()

    networks = config.forwarded_allow_ips
    prepared = uvicorn.Config(
        app.callable,
        interface="asgi3" if app.interface == "asgi" else "wsgi",
        http="h11" if config.http == "h11" else "auto",
        lifespan=config.lifespan,  # type: ignore[arg-type]
        log_config=None,
        access_log=config.access_logfile is not None,
        root_path=config.root_path,
        forwarded_allow_ips="*" if networks == "*" else [str(network) for network in networks],
        server_header=config.server_header,
        backlog=config.backlog,
        timeout_keep_alive=round(config.keep_alive),
        limit_max_requests=config.max_requests or None,
        limit_max_requests_jitter=config.max_requests_jitter,
    )
    return Server(prepared)
