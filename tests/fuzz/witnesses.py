"""The same bytes as h11 and llhttp read them."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import h11
import httptools

Fields = list[tuple[bytes, bytes]]


@dataclass
class Seen:
    """One request."""

    method: bytes
    target: bytes
    fields: Fields
    body: bytes = b""


@dataclass
class Reading:
    """All of a stream, until it ends or is refused."""

    requests: list[Seen] = field(default_factory=list)
    refusal: str = ""


def tamed(raw: bytes) -> bytes:
    """``raw`` without an Upgrade, behind which a witness reads no HTTP: its ``d`` is an ``x``."""
    return re.sub(rb"(?i)(upgra)d(e)", rb"\1x\2", raw)


def comparable(body: bytes) -> bytes:
    """``body`` with every ``d`` as an ``x``: a body may hold, or be cut in, a tamed word."""
    return body.translate(bytes.maketrans(b"dD", b"xx"))


def plain(fields: Fields) -> Fields:
    """Names in lower case, and values too: h11 makes them so for codings."""
    return [(tamed(name.lower()), tamed(value.strip(b" \t")).lower()) for name, value in fields]


def by_llhttp(raw: bytes) -> Reading:
    """What llhttp reads."""
    reading = Reading()

    class Sink:
        def on_message_begin(self) -> None:
            self.seen = Seen(b"", b"", [])

        def on_url(self, url: bytes) -> None:
            self.seen.target += url

        def on_header(self, name: bytes, value: bytes) -> None:
            self.seen.fields.append((name, value))

        def on_headers_complete(self) -> None:
            self.seen.method = parser.get_method()
            self.head = len(self.seen.fields)

        def on_body(self, data: bytes) -> None:
            self.seen.body += data

        def on_message_complete(self) -> None:
            self.seen.fields = plain(self.seen.fields[: self.head])  # without the trailers
            self.seen.body = comparable(self.seen.body)
            reading.requests.append(self.seen)

    parser = httptools.HttpRequestParser(Sink())
    try:
        parser.feed_data(tamed(raw))
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:  # CONNECT
        reading.refusal = str(error) or type(error).__name__
    return reading


def by_h11(raw: bytes) -> Reading:
    """What h11 reads, each request by a connection of its own."""
    reading = Reading()
    left = tamed(raw)
    while left := left.removeprefix(b"\r\n"):  # RFC 9112 2.2: h11 ignores no empty line
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=sys.maxsize)
        connection.receive_data(left)
        try:
            seen = _next(connection)
        except h11.RemoteProtocolError as error:
            reading.refusal = str(error)
            break
        if seen is None:
            break
        reading.requests.append(seen)
        left = connection.trailing_data[0]
    return reading


def _next(connection: h11.Connection) -> Seen | None:
    """A request, if there is a whole one."""
    request = connection.next_event()
    if not isinstance(request, h11.Request):
        return None
    seen = Seen(request.method, request.target, plain(list(request.headers)))
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if not isinstance(event, h11.Data):
            return None
        seen.body += event.data
    seen.body = comparable(seen.body)
    return seen


WITNESSES: dict[str, Callable[[bytes], Reading]] = {"h11": by_h11, "llhttp": by_llhttp}
