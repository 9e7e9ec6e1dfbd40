"""The engine: what all connections of one worker share.

Here live the settings of the hot path in the form it wants them, the set of connections, the
memories of heads read and made, and the two ways to end: drain and cut. No parsing, no socket.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol

from pyfork.config.config import Config
from pyfork.http.proxy_headers import TrustedProxies
from pyfork.http.request.head import RequestHead
from pyfork.http.request.head_reader import FieldMapper, HeadReader
from pyfork.http.request.limits import SizeLimits
from pyfork.http.request.parser import Parser
from pyfork.http.request.parsing import RequestParser
from pyfork.http.response.date import http_date
from pyfork.http.response.head_cache import ResponseHeads
from pyfork.ipc.scoreboard import BEGUN, CONNECTIONS, REQUESTS, Row
from pyfork.log.access import AccessLog

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection
    from pyfork.http.connection.exchange import Exchange

log = logging.getLogger("pyfork.error")

Upgrade = Callable[["Connection", RequestHead, bytes], None]


class Gateway(Protocol):
    """What answers requests."""

    exchange: Callable[["Connection", RequestHead], "Exchange"]
    entry: FieldMapper | None  # see `HeadReader`
    unbuffered: bool  # what is written is to reach the socket before `write` returns


def parser_class(http: str) -> type[RequestParser]:
    """The parser that a value of ``--http`` names."""
    if http == "h11":
        from pyfork.http.request.h11_parser import H11Parser  # few ask for it

        return H11Parser
    return Parser


class Engine:
    """Shared by every connection of a worker.

    ``upgrade`` takes a WebSocket handshake over: connection, head, and the bytes that came behind
    it.
    """

    def __init__(
        self,
        config: Config,
        *,
        loop: asyncio.AbstractEventLoop,
        line: Row,
        gateway: Gateway,
        upgrade: Upgrade | None = None,
    ) -> None:
        # For the worker's life.
        self.config = config
        self.loop = loop
        self.line = line
        self.cells = line.cells
        self.gateway: Any = gateway  # its exchanges know what it is
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
        # Changing.
        self.connections: dict[Connection, None] = {}  # eldest first
        # With those that were accepted and are not among them yet, or were taken over by `upgrade`.
        self.open_connections = 0
        self.draining = False
        self.on_idle: Callable[[Connection], None] | None = None  # with what idles in a drain
        self.served = 0  # requests answered by this worker
        self.running = 0  # requests that the application works on
        self.busy_since = 0.0  # monotonic seconds, since when there is one
        self.wear_after = 0  # requests after which `worn` is called; 0 = never
        self.on_recycle: Callable[[], None] = lambda: None
        self.on_timeout: Callable[[str], None] = log.error  # a request that cannot be interrupted
        self.connections_changed: Callable[[], None] = lambda: None
        self.tick(time())

    def tick(self, now: float) -> None:
        """Once a second: renew the Date line (RFC 9110 6.6.1). ``now`` is seconds since 1970."""
        self.heads.date(b"Date: " + http_date(now) + b"\r\n")

    def begin(self, exchange: "Exchange") -> None:
        """The application begins to work on a request."""
        exchange.started = now = monotonic()
        running = self.running = self.running + 1
        if running == 1:
            self.busy_since = now
        self.line.start_request(self.served + running, self.busy_since, exchange.head.line.doing)

    def end(self, exchange: "Exchange") -> None:
        """A request is answered, whether the application had begun to work on it or not."""
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

    def drop(self, exchange: "Exchange") -> None:
        """A request is over without an answer of its own."""
        exchange.finished = True
        if exchange.started:
            self.running -= 1
            self.cells[BEGUN] -= 1

    def add(self, connection: "Connection") -> None:
        """A connection begins; it was counted when it was accepted."""
        self.connections[connection] = None
        if connection.requests_seen:  # another worker had it
            self.count(1)

    def remove(self, connection: "Connection") -> None:
        """Count a connection out; twice does no harm."""
        if connection in self.connections:
            del self.connections[connection]
            self.count(-1)

    def count(self, change: int) -> None:
        """A client was accepted, or is served past the engine (1); or that ended (-1)."""
        self.open_connections += change
        self.cells[CONNECTIONS] = self.open_connections
        if change < 0:
            self.connections_changed()

    def drain(self, part: "Callable[[Connection], None] | None" = None) -> None:
        """Take no requests but those that run or are half read, and part with what idles.

        ``part`` is called with each idle connection, now and when it becomes idle; without it
        idle connections are closed, and the responses before say so.
        """
        self.draining = True
        self.on_idle = part
        for connection in list(self.connections):
            connection.drain()

    def cut(self) -> int:
        """Abort what is left. Returns how many requests were lost by it."""
        running = 0
        for connection in list(self.connections):
            running += connection.current is not None
            connection.abort()
        return running
