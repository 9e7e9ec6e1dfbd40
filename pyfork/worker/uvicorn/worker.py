"""The `uvicorn` worker: stock uvicorn.Server on the shared listeners, controlled by the channel.

It has the features of uvicorn, and not those of pyfork's engine (deadlines, fair accept).
"""

import asyncio
import random
import socket
import time

from pyfork.errors import BootError
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader.load import App
from pyfork.worker.base import BaseWorker
from pyfork.worker.uvicorn.server import EmbeddedServer, uvicorn_config

# Seconds between the last accept and uvicorn's shutdown, which closes connections without a
# request: that of a new connection may still arrive.
ACCEPT_SETTLE_SECONDS = 0.1


class UvicornWorker(BaseWorker):
    """Runs an ASGI application, or a WSGI one by uvicorn's own middleware."""

    def __init__(self, args: WorkerArgs, app: App) -> None:
        super().__init__(args, app)
        self._server = EmbeddedServer(uvicorn_config(args.config, app, self.tls_context()))
        self._serving: asyncio.Task[None] | None = None
        jitter = random.randint(0, args.config.max_requests_jitter)
        self._wear_after = args.config.max_requests and args.config.max_requests + jitter

    async def boot(self) -> None:
        """Start the server and wait for its startup."""
        server = self._server
        listeners = [each for each in self.args.listeners if isinstance(each, socket.socket)]
        started = server.booted = asyncio.Event()
        self._serving = self.loop.create_task(server.serve(sockets=listeners))
        waiting = self.loop.create_task(started.wait())
        await asyncio.wait((self._serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            waiting.cancel()
            failure = getattr(server.lifespan, "failure", "")
            raise BootError("the application's lifespan startup failed", failure)
        self._serving.add_done_callback(self._ended)

    def _ended(self, serving: "asyncio.Task[None]") -> None:
        """uvicorn has ended, by a drain or an error."""
        self.changed.set()
        if not self.draining.is_set():
            self.retire(0.0)

    def accept(self) -> None:
        """Do nothing: uvicorn accepts since its start."""

    def tick(self, now: float) -> None:
        state = self._server.server_state
        self.row.connections = len(state.connections)
        self.row.requests = state.total_requests
        if self._wear_after and state.total_requests >= self._wear_after:
            self.request_recycle(f"it has answered {state.total_requests} requests")

    async def drain(self) -> None:
        assert self._serving is not None
        server, serving = self._server, self._serving
        for accepting in server.servers:
            accepting.close()
        await asyncio.sleep(ACCEPT_SETTLE_SECONDS)
        left = max(1, round(self.drain_deadline - time.monotonic()))
        server.config.timeout_graceful_shutdown = left
        server.should_exit = True
        if not await self.drained(serving.done):
            server.force_exit = True
            await asyncio.wait((serving,), timeout=1.0)
        if serving.done():
            serving.result()
