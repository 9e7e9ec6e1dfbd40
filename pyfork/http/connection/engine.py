"""The engine: state that all connections of one worker share.

It has the settings of the hot path, the set of connections, the caches of heads, and the two ways
to end: drain and cut. It does not parse and has no socket.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pyfork.compiled import mypyc_attr
from pyfork.config.config import Config
from pyfork.http.connection.exchange import Exchange
from pyfork.http.connection.waiting_input import WaitingInput
from pyfork.http.proxy_headers import TrustedProxies
from pyfork.http.request.head import FieldMapper, RequestHead
from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.limits import SizeLimits
from pyfork.http.request.parser import Parser
from pyfork.http.request.parsing import RequestParser
from pyfork.http.response.date import http_date
from pyfork.http.response.head_cache import ResponseHeads
from pyfork.ipc.scoreboard import BEGUN, CONNECTIONS, REQUESTS, Row
from pyfork.log.access import AccessLog

if TYPE_CHECKING:
    from pyfork.metrics.recorder import RequestRecorder

log = logging.getLogger("pyfork.error")


class EngineConnection(Protocol):
    """A connection, as the engine sees it."""

    requests_seen: int
    current: Exchange | None

    def drain(self) -> None:
        """Hand the connection over or close it, if it is idle."""

    def abort(self) -> None:
        """Close at once."""


ConnectionType = TypeVar("ConnectionType", bound=EngineConnection)

Upgrade = Callable[[ConnectionType, RequestHead, bytes], bool]


class Gateway(Protocol[ConnectionType]):
    """The gateway, which answers requests."""

    exchange: Callable[[ConnectionType, RequestHead], Exchange]
    entry: FieldMapper | None  # see `HeadReader`
    unbuffered: bool  # output must reach the socket before `write` returns


def parser_class(http: str) -> type[RequestParser]:
    """Return the parser class for a value of ``--http``."""
    if http == "h11":
        from pyfork.http.request.h11_parser import H11Parser  # rarely used

        return H11Parser
    return Parser


@mypyc_attr(allow_interpreted_subclasses=True)
class Engine(Generic[ConnectionType]):
    """State shared by every connection of a worker.

    ``upgrade`` takes over a WebSocket handshake: connection, head, and the bytes after it.
    """

    # In the class, since most workers leave them unchanged, and an object of more than 29
    # attributes takes longer to access each (CPython's shared keys).
    metrics: "RequestRecorder | None" = None  # of `MeteredEngine`
    # called with idle connections in a drain
    on_idle: Callable[[ConnectionType], None] | None = None
    on_recycle: Callable[[], object] = staticmethod(bool)  # called after ``wear_after`` requests

    def __init__(
        self,
        config: Config,
        *,
        loop: asyncio.AbstractEventLoop,
        row: Row,
        gateway: Gateway[ConnectionType],
        upgrade: Upgrade[ConnectionType] | None = None,
    ) -> None:
        # For the life of the worker.
        self.config = config
        self.loop = loop
        self.row = row
        self.cells = row.cells
        self.gateway: Any = gateway  # its exchanges know its type
        self.new_exchange = gateway.exchange
        self.unbuffered = gateway.unbuffered
        # A transport that is written in Python takes longer than the system call.
        self.past_transport = self.unbuffered and isinstance(loop, asyncio.BaseEventLoop)
        self.upgrade = upgrade
        self.limits = SizeLimits.from_config(config)
        self.proxies = TrustedProxies(config.forwarded_allow_ips)
        self.access = AccessLog.from_config(config)
        if self.access is not None:
            self.access.later = loop.call_soon
        self.reader = HeadReader(self.limits, gateway.entry)
        self.new_parser = parser_class(config.http)
        self.heads = ResponseHeads(server=b"Server: pyfork\r\n" if config.server_header else b"")
        self.waiting_input = WaitingInput()
        # Changing.
        self.connections: dict[ConnectionType, None] = {}  # oldest first
        # Open client connections, including those still being set up and WebSockets.
        self.open_connections = 0
        self.draining = False
        self.overflows = False  # a request that came now would wait: see `overflow`
        # Gives a connection away, with the bytes that were read of its next request, if it can.
        self.overflow: Callable[[ConnectionType, bytes], bool] = lambda connection, data: False
        self.served = 0  # requests answered by this worker
        self.running = 0  # requests that the application works on
        self.busy_since = 0.0  # monotonic seconds; since when ``running`` is not 0
        self.wear_after = 0  # requests after which `worn` is called; 0 = never
        # called for a request that cannot be interrupted
        self.on_timeout: Callable[[str], None] = log.error
        self.connections_changed: Callable[[], None] = lambda: None
        self.tick(time())

    def tick(self, now: float) -> None:
        """Renew the Date field (RFC 9110 6.6.1), once a second. ``now`` is in seconds since
        1970."""
        self.heads.date(b"Date: " + http_date(now) + b"\r\n")

    def begin(self, exchange: Exchange) -> None:
        """Count a request that the application begins to work on."""
        exchange.started = now = monotonic()
        running = self.running = self.running + 1
        if running == 1:
            self.busy_since = now
        self.row.start_request(self.served + running, self.busy_since, exchange.head.line.doing)

    def end(self, exchange: Exchange) -> None:
        """Count a response, whether or not the application has worked on the request."""
        exchange.finished = True
        served = self.served = self.served + 1
        if exchange.started:
            self.running -= 1
        else:
            self.cells[BEGUN] += 1
        self.cells[REQUESTS] = served
        if served == self.wear_after:
            self.on_recycle()
        if self.access is not None:
            self.access.write(exchange)

    def drop(self, exchange: Exchange) -> None:
        """Count a request that ends without a response of its own."""
        exchange.finished = True
        if exchange.started:
            self.running -= 1
            self.cells[BEGUN] -= 1

    def add(self, connection: ConnectionType) -> None:
        """Add a connection; it was counted when it was accepted."""
        self.connections[connection] = None
        if connection.requests_seen:  # another worker had it
            self.count(1)

    def remove(self, connection: ConnectionType) -> None:
        """Remove a connection; a second call does nothing."""
        if connection in self.connections:
            del self.connections[connection]
            self.count(-1)

    def count(self, change: int) -> None:
        """Count a client: 1 when accepted or served past the engine, -1 when that ends."""
        self.open_connections += change
        self.cells[CONNECTIONS] = self.open_connections
        if change < 0:
            self.connections_changed()

    def drain(self, part: Callable[[ConnectionType], None] | None = None) -> None:
        """Begin a drain: take only requests that run or are incomplete, and release idle
        connections.

        ``part`` is called with each connection that is or becomes idle. Without it idle
        connections are closed, and the last response on each announces that.
        """
        self.draining = True
        self.on_idle = part
        for connection in list(self.connections):
            connection.drain()

    def cut(self) -> int:
        """Abort all connections. Returns how many requests were lost."""
        running = 0
        for connection in list(self.connections):
            running += connection.current is not None
            connection.abort()
        return running
