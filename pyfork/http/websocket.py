"""WebSocket connections: taken over by uvicorn's own protocol class, from the handshake on.

uvicorn is imported at the first handshake: an application without WebSockets does not pay.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyfork.config.settings import Config
from pyfork.http.asgi import AsgiApp
from pyfork.http.forwarded import Proxies
from pyfork.http.forwarded_scopes import ForwardedScopes
from pyfork.http.request import RequestHead
from pyfork.http.scope import Scope

if TYPE_CHECKING:
    from uvicorn import Config as UvicornConfig
    from uvicorn.server import ServerState

    from pyfork.http.connection import Connection


SOON = 0.02  # seconds between two looks at a handshake that a drain waits for


def uvicorn_config(
    config: Config, app: AsgiApp, *, lifespan: str = "off", ws: str = "none"
) -> "UvicornConfig":
    """uvicorn's configuration for the parts of it that pyfork runs."""
    import uvicorn

    prepared = uvicorn.Config(
        app,  # type: ignore[arg-type, unused-ignore]
        interface="asgi3",
        http=asyncio.Protocol,  # never made: HTTP is ours
        ws=ws,  # type: ignore[arg-type, unused-ignore]
        lifespan=lifespan,  # type: ignore[arg-type, unused-ignore]
        loop="none",
        log_config=None,
        root_path=config.root_path,
        proxy_headers=False,  # see `ForwardedScopes`
        server_header=config.server_header,
        ws_max_size=config.ws_max_size or sys.maxsize,
        ws_ping_interval=config.ws_ping_interval,
        ws_ping_timeout=config.ws_ping_timeout,
        ws_per_message_deflate=config.ws_compression,
    )
    prepared.load()
    prepared.loaded_app = ForwardedScopes(  # type: ignore[assignment, unused-ignore]
        prepared.loaded_app, Proxies(config.forwarded_allow_ips)
    )
    return prepared


class _Watched(set[Any]):
    """uvicorn's set of connections, which also tells that one has come or gone."""

    def __init__(self, count: Callable[[int], None]) -> None:
        super().__init__()
        self._count = count

    def add(self, protocol: Any) -> None:
        if protocol not in self:
            super().add(protocol)
            self._count(1)

    def remove(self, protocol: Any) -> None:
        if protocol in self:
            super().remove(protocol)
            self._count(-1)

    discard = remove


class WebSockets:
    """All WebSocket connections of a worker. ``count`` is called with 1 as one begins, and -1."""

    def __init__(
        self, config: Config, app: AsgiApp, state: Scope, count: Callable[[int], None]
    ) -> None:
        self._config = config
        self._app = app
        self._state = state
        self._count = count
        self._prepared: UvicornConfig | None = None
        self._server: ServerState | None = None

    @property
    def connections(self) -> set[Any]:
        """uvicorn's protocols that are open now."""
        return self._server.connections if self._server is not None else set()

    def take(self, connection: "Connection", head: RequestHead, rest: bytes) -> None:
        """Hand the transport over, with the handshake and what came behind it."""
        if self._prepared is None or self._server is None:
            from uvicorn.server import ServerState

            self._prepared = uvicorn_config(self._config, self._app, ws="websockets-sansio")
            self._server = ServerState()
            self._server.connections = _Watched(self._count)
            self._server.default_headers = self._prepared.encoded_headers
        make: Any = self._prepared.ws_protocol_class
        protocol = make(
            config=self._prepared,
            server_state=self._server,
            app_state=self._state,
        )
        protocol.app = self.app_for(connection, protocol.app)
        transport = connection.transport
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        connection.engine.remove(connection)
        protocol.data_received(_handshake(head) + rest)
        if connection.engine.draining:
            self._dismiss(protocol)

    def app_for(self, connection: "Connection", app: AsgiApp) -> AsgiApp:
        """What the scope of this connection is given to."""
        return app

    def shutdown(self) -> None:
        """Close all with 1012, service restart."""
        for protocol in list(self.connections):
            self._dismiss(protocol)

    def _dismiss(self, protocol: Any) -> None:
        """Close it when its handshake is over: until then uvicorn would answer with 500.

        One that its client is closing ends by itself, and can be told nothing any more.
        """
        if protocol not in self.connections:
            return
        if not protocol.handshake_complete:
            protocol.loop.call_later(SOON, self._dismiss, protocol)
        elif protocol.conn.state.name == "OPEN":
            protocol.shutdown()

    def abort(self) -> int:
        """Abort what is left. Returns how many there were."""
        left = list(self.connections)
        for protocol in left:
            protocol.transport.abort()
        return len(left)


def _handshake(head: RequestHead) -> bytes:
    """The request head as bytes again, for a parser that wants its own look."""
    lines = [b"%b %b HTTP/1.1" % (head.method.encode(), head.line.target)]
    lines += [b"%b: %b" % field for field in head.block.fields]
    return b"\r\n".join([*lines, b"", b""])
