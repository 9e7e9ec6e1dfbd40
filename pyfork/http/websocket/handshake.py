"""The opening handshake of a WebSocket (RFC 6455 section 4.2). Pure: no socket, no clock.

`websockets` checks the key and negotiates extensions. pyfork parses the request and writes the
response.
"""

from collections.abc import Iterable

from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from pyfork.config.config import Config
from pyfork.http.request.head import Fields, RequestHead
from pyfork.http.response.head import SERVER_FIELDS, validate_fields

_VERSION = b"13"

# Fields of the 101 response that only the server sends, besides those of the connection.
_NEGOTIATED = frozenset(
    (b"content-length", b"sec-websocket-accept", b"sec-websocket-extensions")
) | (SERVER_FIELDS - {b"date", b"server"})

# A smaller window than zlib's default: 32 KiB per connection instead of 256 KiB.
_DEFLATE = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)


def new_protocol(config: Config) -> ServerProtocol:
    """Make the frame protocol of one connection; it does not get the handshake's bytes."""
    return ServerProtocol(
        state=State.OPEN,
        max_size=config.ws_max_size or None,
        extensions=[_DEFLATE] if config.ws_compression else None,
    )


class HandshakeError(Exception):
    """The handshake fails with ``status``; the response has ``fields``."""

    def __init__(self, status: int, text: str, fields: Fields) -> None:
        super().__init__(text)
        self.status = status
        self.fields = fields


def negotiate(protocol: ServerProtocol, head: RequestHead) -> Fields:
    """Check a handshake, and set the extensions of ``protocol``.

    Returns the fields of the 101 response. Raises HandshakeError.
    """
    fields = head.block.fields
    versions = [value for name, value in fields if name == b"sec-websocket-version"]
    if versions and versions != [_VERSION]:
        upgrade = [(b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", _VERSION)]
        raise HandshakeError(426, "only version 13 of WebSocket is supported", upgrade)  # 4.2.2
    received = Headers((name.decode(), value.decode("latin-1")) for name, value in fields)
    response = protocol.accept(Request(head.line.target.decode("latin-1"), received))
    if response.status_code != 101:
        passed = [field for field in _pairs(response.headers) if field[0] == b"Upgrade"]
        text = bytes(response.body or b"").decode().strip()
        raise HandshakeError(response.status_code, text, passed)
    return [field for field in _pairs(response.headers) if field[0] != b"Date"]


def _pairs(headers: Headers) -> Fields:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.raw_items()]


def offered_subprotocols(head: RequestHead) -> list[str]:
    """Return the subprotocols of the client, in its order of preference."""
    offered: list[str] = []
    for name, value in head.block.fields:
        if name == b"sec-websocket-protocol":
            offered += [each.strip() for each in value.decode("latin-1").split(",")]
    return offered


def switching_protocols(
    negotiated: Fields,
    headers: Iterable[tuple[bytes, bytes]],
    subprotocol: str | None,
    *,
    date: bytes,
    server: bytes,
) -> bytes:
    """Return the head of the 101 response.

    ``headers`` and ``subprotocol`` are the application's. ``date`` and ``server`` are complete
    lines, each left out if the application has its own. Raises ResponseError.
    """
    fields, names = validate_fields((bytes(name), bytes(value)) for name, value in headers)
    passed = [field for name, field in zip(names, fields, strict=True) if name not in _NEGOTIATED]
    if subprotocol is not None:
        passed = [field for field in passed if field[0].lower() != b"sec-websocket-protocol"]
        passed += validate_fields([(b"Sec-WebSocket-Protocol", subprotocol.encode("latin-1"))])[0]
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"" if b"date" in names else date,
        b"" if b"server" in names else server,
    ]
    lines += [b"%b: %b\r\n" % field for field in (*negotiated, *passed)]
    return b"".join([*lines, b"\r\n"])
