"""uvicorn's server, changed to run inside the `uvicorn` worker."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn

from pyfork.config.config import Config
from pyfork.http.asgi.forwarded_scopes import ForwardedScopes
from pyfork.http.proxy_headers import TrustedProxies
from pyfork.loader.load import App
from pyfork.worker.uvicorn.lifespan import UvicornLifespan

if TYPE_CHECKING:
    from pyfork.net.tls.session import Context


class _StartupFailed(Exception):
    """uvicorn would exit the process."""


class EmbeddedServer(uvicorn.Server):
    """Reports its start, and leaves signals and the process to the worker."""

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


def uvicorn_config(config: Config, app: App, context: "Context | None") -> uvicorn.Config:
    """Return uvicorn's settings, made from ours and loaded."""
    settings = uvicorn.Config(
        app.callable,
        interface="asgi3" if app.interface == "asgi" else "wsgi",
        http="h11" if config.http == "h11" else "auto",
        lifespan=config.lifespan,  # type: ignore[arg-type]
        log_config=None,
        access_log=config.access_logfile is not None,
        root_path=config.root_path,
        proxy_headers=False,  # see `ForwardedScopes`
        server_header=config.server_header,
        backlog=config.backlog,
        timeout_keep_alive=round(config.keep_alive),
        ws=config.ws,
        ws_max_size=config.ws_max_size or sys.maxsize,
        ws_ping_interval=config.ws_ping_interval,
        ws_ping_timeout=config.ws_ping_timeout,
        ws_per_message_deflate=config.ws_compression,
    )
    settings.load()
    settings.loaded_app = ForwardedScopes(
        settings.loaded_app, TrustedProxies(config.forwarded_allow_ips)
    )
    if context is not None:
        context.serve_loop()
    settings.ssl = context
    if config.lifespan != "off" and app.interface == "asgi":
        settings.lifespan_class = UvicornLifespan
    return settings
