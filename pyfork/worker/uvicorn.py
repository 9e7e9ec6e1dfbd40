"""The `uvicorn` worker: stock uvicorn.Server on the shared listeners, driven by the channel.

What uvicorn can do, can be had; what pyfork's engine does (deadlines, fair accept), cannot.
"""

import asyncio
import contextlib
import random
import socket
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyfork.errors import BootError
from pyfork.ipc.birth import Birth
from pyfork.worker.app import App
from pyfork.worker.life import Worker

if TYPE_CHECKING:
    import ssl

    import uvicorn

# Seconds between the last accept and uvicorn's shutdown, which closes whoever has not spoken yet:
# what was accepted a moment ago has a request on its way.
SETTLE = 0.1


class _StartupFailed(Exception):
    """uvicorn would leave the process."""


class UvicornWorker(Worker):
    """Runs an ASGI application, or a WSGI one by uvicorn's own middleware."""

    def __init__(self, birth: Birth, app: App) -> None:
        super().__init__(birth, app)
        self._server = _server(birth, app, self.tls_context())
        self._serving: asyncio.Task[None] | None = None
        jitter = random.randint(0, birth.config.max_requests_jitter)
        self._wear_after = birth.config.max_requests and birth.config.max_requests + jitter

    async def boot(self) -> None:
        """Start the server and wait until it says that it has started."""
        server = self._server
        listeners = [each for each in self.birth.listeners if isinstance(each, socket.socket)]
        started = server.booted = asyncio.Event()  # type: ignore[attr-defined]
        self._serving = self.loop.create_task(server.serve(sockets=listeners))
        waiting = self.loop.create_task(started.wait())
        await asyncio.wait((self._serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            waiting.cancel()
            failure = getattr(server.lifespan, "failure", "")
            raise BootError("the application's lifespan startup failed", failure)
        self._serving.add_done_callback(self._ended)

    def _ended(self, serving: "asyncio.Task[None]") -> None:
        """uvicorn has left, when it was told to or by an error."""
        self.changed.set()
        if not self.leaving.is_set():
            self.retire(0.0)

    def accept(self) -> None:
        """uvicorn accepts since it started."""

    def beat(self, now: float) -> None:
        state = self._server.server_state
        self.line.connections = len(state.connections)
        self.line.requests = state.total_requests
        if self._wear_after and state.total_requests >= self._wear_after:
            self.wear(f"it has answered {state.total_requests} requests")

    async def drain(self) -> None:
        assert self._serving is not None
        server, serving = self._server, self._serving
        for accepting in server.servers:
            accepting.close()
        await asyncio.sleep(SETTLE)
        left = max(1, round(self.leave_by - time.monotonic()))
        server.config.timeout_graceful_shutdown = left
        server.should_exit = True
        if not await self.drained(serving.done):
            server.force_exit = True
            await asyncio.wait((serving,), timeout=1.0)
        if serving.done():
            serving.result()


def _server(birth: Birth, app: App, context: "ssl.SSLContext | None") -> "uvicorn.Server":
    import uvicorn

    from pyfork.worker.uvicorn_lifespan import Lifespan

    config = birth.config

    class Server(uvicorn.Server):
        """Says when it has started, and leaves signals and the process to the worker."""

        booted: asyncio.Event

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            try:
                await super().startup(sockets)
            except SystemExit as leaving:
                raise _StartupFailed from leaving
            self.booted.set()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

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
        ws=config.ws,
        ws_max_size=config.ws_max_size or sys.maxsize,
        ws_ping_interval=config.ws_ping_interval,
        ws_ping_timeout=config.ws_ping_timeout,
        ws_per_message_deflate=config.ws_compression,
    )
    prepared.load()
    prepared.ssl = context
    if config.lifespan != "off" and app.interface == "asgi":
        prepared.lifespan_class = Lifespan
    return Server(prepared)
