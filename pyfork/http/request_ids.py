"""``--request-id``: each request has an id, which the application, the client and the log get.

Installed only where the setting is: exchanges of other workers are other classes.
"""

import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from pyfork.http.connection.response_writer import ResponseWriter
from pyfork.http.request.head import Field

_GOOD = re.compile(r"[A-Za-z0-9._:/+=@~-]{1,128}")  # what stands in a log, a field and a shell


class RequestIds:
    """Gives ids: that of a trusted proxy, else a UUID of version 7 (RFC 9562 5.7)."""

    def __init__(self, name: str) -> None:
        """``name`` is that of the field, such as ``X-Request-Id``."""
        self.name = name
        self._key = name.lower().encode()
        self._variable = "HTTP_" + name.upper().replace("-", "_")
        self._names = frozenset((self._key, name.lower()))

    def of(self, exchange: ResponseWriter) -> str:
        """The id of a request."""
        if exchange.connection.trusted:
            given = [value for name, value in exchange.request_headers if name == self._key]
            if len(given) == 1 and _GOOD.fullmatch(text := given[0].decode("latin-1")):
                return text
        return uuid7()

    def pass_on(self, exchange: ResponseWriter, request_id: str) -> None:
        """Put it into the environ of WSGI."""
        exchange.environ[self._variable] = request_id

    def put(self, scope: Any, request_id: str) -> None:
        """Put it into the fields of a scope, in place of what the client sent."""
        others = [field for field in scope["headers"] if field[0] != self._key]
        scope["headers"] = [*others, self.field(request_id)]

    def field(self, request_id: str) -> Field:
        """The field of a scope."""
        return self._key, request_id.encode()

    def added(self, headers: Iterable[tuple[Any, Any]], request_id: str) -> list[tuple[Any, Any]]:
        """The fields of a response, with the id in place of one by the application."""
        others = [field for field in headers if field[0].lower() not in self._names]
        return [*others, (self.name.encode(), request_id.encode())]


class IdentifiedExchange(ResponseWriter):
    """A request with an id. It stands before the class of a gateway's exchanges."""

    ids: RequestIds
    request_id = ""  # before `start`

    def start(self) -> None:
        self._identify()
        super().start()

    def _identify(self) -> None:
        if not self.request_id:
            self.request_id = self.ids.of(self)
            self.note = f", request {self.request_id}"

    def begin(
        self,
        status: int,
        reason: bytes | None,
        headers: Iterable[tuple[Any, Any]],
        first: bytes = b"",
        *,
        length: int | None = None,
    ) -> bytes:
        self._identify()
        headers = self.ids.added(headers, self.request_id)
        return super().begin(status, reason, headers, first, length=length)

    def respond_whole(
        self, status: int, reason: bytes | None, headers: Iterable[tuple[Any, Any]], data: bytes
    ) -> None:
        self._identify()
        super().respond_whole(status, reason, self.ids.added(headers, self.request_id), data)

    def serve(self) -> None:
        """Call an application of WSGI: its environ is there."""
        self.ids.pass_on(self, self.request_id)
        super().serve()  # type: ignore[misc]


class RequestGateway(Protocol):
    """A gateway of WSGI or ASGI, as `install` needs it."""

    app: Any
    exchange: Any  # makes the exchange of each request
    request_ids: RequestIds | None


def install(gateway: RequestGateway, name: str, *, asgi: bool) -> None:
    """Give each request of ``gateway`` an id, in the field ``name``."""
    ids = gateway.request_ids = RequestIds(name)
    bases: tuple[Any, ...] = (IdentifiedExchange, gateway.exchange)
    gateway.exchange = type("IdentifiedExchange", bases, {"ids": ids})
    if asgi:
        gateway.app = _with_ids(gateway.app, ids)


def _with_ids(app: Callable[..., Any], ids: RequestIds) -> Callable[..., Any]:
    """Return ``app`` with the id in each scope of HTTP; a WebSocket's session sees to its own."""

    def identified(scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] == "http":
            ids.put(scope, receive.__self__.request_id)
        return app(scope, receive, send)

    return identified


def uuid7() -> str:
    """A UUID of version 7: milliseconds since 1970, and 74 random bits."""
    chance = int.from_bytes(os.urandom(10))
    number = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | (chance >> 68) << 64
    text = f"{number | 0b10 << 62 | chance & (1 << 62) - 1:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
