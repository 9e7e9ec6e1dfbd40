"""The head of a response and the framing of its content. Pure: no socket, no clock.

An application's head is checked completely before a byte is sent (RFC 9110 2.2). Fields of the
connection (Connection, Transfer-Encoding and others) are the server's own and never passed
through. Rules are of RFC 9110 unless said otherwise.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pyfork.http.errors import NotBytes, ResponseError
from pyfork.http.request.head import Fields, RequestHead, list_members

_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TEXT = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))  # 5.5

REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
LINES = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, REASONS.get(status, b"")) for status in range(200, 600)
}

# 6.4.1 and 15.3.6: no content follows such a head, whatever its fields say.
NO_CONTENT = frozenset((204, 205, 304))

# Fields of the connection, which only the server sends (7.6.1, and RFC 9112).
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
    )
)
SERVER_FIELDS = HOP_BY_HOP | {b"date", b"server", b"upgrade"}


def as_bytes(data: object) -> bytes:
    """Return an application's content. Raises NotBytes."""
    if type(data) is bytes:
        return data
    try:
        return bytes(memoryview(data))  # type: ignore[arg-type]
    except TypeError:
        kind = type(data).__name__
        raise NotBytes(f"content is of type {kind}; it must be bytes") from None


def join(pieces: Iterable[Any]) -> bytes:
    """Join pieces of content. Raises NotBytes."""
    try:
        return b"".join(pieces)
    except TypeError:
        return b"".join(map(as_bytes, pieces))


class Response:
    """A response with a complete head; frames its content."""

    __slots__ = ("_content", "chunked", "close", "head", "remaining", "status")

    def __init__(
        self, status: int, head: bytes, close: bool, content: bool, chunked: bool, left: int | None
    ) -> None:
        self.status = status
        self.head = head  # to be sent first
        self.close = close  # the connection closes after this response
        self.chunked = chunked
        self.remaining = left  # bytes of content still owed; None if the length is unknown
        self._content = content  # whether content may follow the head

    @property
    def headers(self) -> Fields:
        """The fields as sent."""
        lines = self.head.split(b"\r\n")[1:-2]
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]

    def body(self, content: Any) -> bytes:
        """Frame content. Raises ResponseError beyond the Content-Length (8.6)."""
        data = content if type(content) is bytes else as_bytes(content)
        if not self._content:
            return b""
        if self.chunked:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        self.sent(len(data))
        return data

    def sent(self, count: int) -> None:
        """Count content that is sent without `body`, as a file's is.

        Raises ResponseError beyond the Content-Length.
        """
        if self.remaining is not None and self._content:
            if count > self.remaining:
                raise ResponseError("more content than the Content-Length says")
            self.remaining -= count

    def end(self) -> bytes:
        """Return the end of the content. Raises ResponseError if it is shorter than
        Content-Length."""
        if self.remaining:
            raise ResponseError(f"content is {self.remaining} bytes short of the Content-Length")
        return b"0\r\n\r\n" if self.chunked else b""


def build_response(
    request: RequestHead | None,
    status: int,
    reason: bytes | None,
    headers: Iterable[tuple[bytes, bytes]],
    *,
    date: bytes = b"",
    server: bytes = b"",
    closing: bool = False,
    length: int | None = None,
) -> Response:
    """Make the head of a final response and choose its framing.

    ``request`` is None if none could be read. ``reason`` None means the standard phrase. ``date``
    and ``server`` are complete lines, each left out if the application has its own. ``closing``:
    the connection closes afterwards. ``length`` is that of the content in bytes, if known: an
    application's larger Content-Length is refused here, and content beyond a smaller one by
    `Response.body`.

    Raises ResponseError, with nothing made, for what HTTP does not allow.
    """
    line = _status_line(status, reason)
    fields, names = validate_fields(headers)
    given = _given_length(fields, names) if b"content-length" in names else None
    options: list[bytes] = []
    if not SERVER_FIELDS.isdisjoint(names):
        date = b"" if b"date" in names else date
        server = b"" if b"server" in names else server
        fields, options = _filter_hop_by_hop(fields, names)
        closing = closing or b"close" in options
    content = status not in NO_CONTENT and (request is None or request.method != "HEAD")
    if content:
        framing, left, chunked = _framing(request, given, length)
        closing = closing or (left is None and not chunked)
    else:
        framing, left, chunked = _no_content(status, given, length), 0, False
        if given is not None and status in (204, 205):
            fields = [field for field in fields if field[0].lower() != b"content-length"]
    if request is not None:
        closing = closing or not request.block.keep_alive
    if closing or options or (request is not None and request.line.version == "1.0"):
        framing += _connection(closing, upgrade=b"upgrade" in options)
    passed = [b"%b: %b\r\n" % field for field in fields]
    head = b"".join((line, date, server, *passed, framing, b"\r\n"))
    return Response(status, head, closing, content, chunked, left)


def plain_error(
    status: int, text: str, method: str = "", *, date: bytes = b"", server: bytes = b""
) -> bytes:
    """Return a complete response with a reason, which closes the connection.

    ``method`` is the request's, if it was read: HEAD gets no content (9.3.2).
    """
    content = text.encode() + b"\n"
    fields = [(b"Content-Type", b"text/plain; charset=utf-8")]
    response = build_response(
        None, status, None, fields, date=date, server=server, closing=True, length=len(content)
    )
    return response.head if method == "HEAD" else response.head + response.body(content)


def _status_line(status: int, reason: bytes | None) -> bytes:
    line = LINES.get(status)
    if line is None:
        raise ResponseError(f"{status!r} is not a final status")
    if reason is None or reason == REASONS.get(status):
        return line
    if reason.translate(None, _TEXT):
        raise ResponseError("invalid reason phrase")
    return b"HTTP/1.1 %d %b\r\n" % (status, reason.strip(b" \t"))


def validate_fields(headers: Iterable[tuple[bytes, bytes]]) -> tuple[Fields, list[bytes]]:
    """Return the fields, checked and without blanks around values, and their lower-case names
    (5.1, 5.5)."""
    try:
        fields = [(name, value.strip(b" \t")) for name, value in headers]
        names = [name.lower() for name, _ in fields]
        bad_names = b"" in names or b"".join(names).translate(None, _TOKEN)
        bad_values = b"".join([value for _, value in fields]).translate(None, _TEXT)
    except (TypeError, ValueError, AttributeError):
        raise ResponseError("header fields are pairs of bytes") from None
    if bad_names or bad_values:
        for name, value in fields:
            if not name or name.translate(None, _TOKEN):
                raise ResponseError(f"invalid header name {name!r}")
            if value.translate(None, _TEXT):
                raise ResponseError(f"invalid value of header {name!r}")
    return fields, names


def _given_length(fields: Fields, names: list[bytes]) -> int:
    """Return the application's Content-Length (8.6)."""
    value = fields[names.index(b"content-length")][1]
    if names.count(b"content-length") > 1:
        raise ResponseError("Content-Length came twice")
    if not value.isdigit() or len(value) > 18:
        raise ResponseError(f"invalid Content-Length {value!r}")
    return int(value)


def _filter_hop_by_hop(fields: Fields, names: list[bytes]) -> tuple[Fields, list[bytes]]:
    """Return the fields to pass on, and which of the options "close" and "upgrade" to send.

    ASGI lets an application set "chunked" and leaves framing to the server; with a Content-Length
    it is dropped (RFC 9112 6.2).
    """
    kept: Fields = []
    options = [b"upgrade"] if b"upgrade" in names else []
    for name, field in zip(names, fields, strict=True):
        if name not in HOP_BY_HOP:
            kept.append(field)
        elif name == b"connection" and b"close" in list_members(field[1]):
            options.append(b"close")
        elif name == b"transfer-encoding" and list_members(field[1]) != [b"chunked"]:
            raise ResponseError("Transfer-Encoding is not the application's to choose")
    return kept, options


def _no_content(status: int, given: int | None, length: int | None) -> bytes:
    """Return the framing line of HEAD, 204, 205 and 304, besides the application's own.

    204 has no length (8.6), 205 has length 0 (15.3.6), 304 has the given one, and HEAD has that of
    the content that was made nevertheless.
    """
    if status == 205:
        return b"Content-Length: 0\r\n"
    if status in NO_CONTENT or given is not None or not length:
        return b""
    return b"Content-Length: %d\r\n" % length


def _framing(
    request: RequestHead | None, given: int | None, length: int | None
) -> tuple[bytes, int | None, bool]:
    """Return the framing line unless the application set it, bytes owed, and whether chunked
    (9112 6)."""
    if given is not None:
        if length is not None and length < given:
            raise ResponseError(f"content is {given - length} bytes short of the Content-Length")
        return b"", given, False
    if length is not None:
        return b"Content-Length: %d\r\n" % length, length, False
    if request is not None and request.line.version == "1.0":
        return b"", None, False
    return b"Transfer-Encoding: chunked\r\n", None, True


def _connection(closing: bool, *, upgrade: bool) -> bytes:
    """Return the Connection line (7.8; RFC 9112 9.3, 9.6); keep-alive is for HTTP/1.0."""
    if closing:
        return b"Connection: upgrade, close\r\n" if upgrade else b"Connection: close\r\n"
    return b"Connection: upgrade\r\n" if upgrade else b"Connection: keep-alive\r\n"
