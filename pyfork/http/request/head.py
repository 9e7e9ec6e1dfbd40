"""The head of a request: grammar and meaning.

All checks that need only the head's own bytes are here: request line, target, fields, framing,
connection options, expectation, upgrade. There is no state. Rules are of RFC 9112 unless said
otherwise. Checks follow the order of the bytes. Within a complete head, those that result in 400
come first, so that the result does not depend on how the bytes arrive.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pyfork.errors import ProtocolError
from pyfork.http.request.authority import is_authority

Field = tuple[bytes, bytes]
Fields = list[Field]
# A gateway's form of a field: its name, and the value as bytes or Latin-1 text.
FieldMapper = Callable[[Field], tuple[Any, Any]]

# Possessive quantifiers are on single characters only: CPython before 3.11.5 matches groups
# wrongly.
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]"  # RFC 9110 5.5, obs-text included

# A target is any visible ASCII: browsers send more than RFC 3986 allows. A fragment is rejected
# (3.2).
_REQUEST_LINE = re.compile(rb"(%b++) ([!\"$-~]++) HTTP/([0-9]\.[0-9])" % TOKEN)
_START_OF_LINE = re.compile(rb"(%b{1,32}) +([!-~\x80-\xff]*)(?: HTTP/([0-9]\.[0-9]))?" % TOKEN)
FIELD_LINE = re.compile(rb"%b++:%b*+\r\n" % (TOKEN, _VALUE))

# IANA's registry of methods, and PURGE. Others get 501 (RFC 9110 9.1), and so do CONNECT and PRI,
# which are for proxies and HTTP/2. Methods are case-sensitive.
METHODS = {
    name: name.decode()
    for name in (
        b"GET HEAD POST PUT DELETE PATCH OPTIONS TRACE QUERY PURGE "
        b"ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY "
        b"MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE ORDERPATCH PROPFIND PROPPATCH REBIND "
        b"REPORT SEARCH UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL "
        b"M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE"
    ).split()
}

_ABSOLUTE = re.compile(rb"https?://([^/?]*+)([^?]*+)(?:\?(.*))?", re.IGNORECASE)
_DIGITS = re.compile(rb"[0-9]{1,18}")
_SLASH = 0x2F


def _checker(allowed: bytes) -> bytes:
    """Return a table for `bytes.translate` that changes exactly the texts with a byte not
    ``allowed``.

    It is faster than a regular expression, and than a table that deletes.
    """
    first = allowed[0]
    return bytes(byte if byte in allowed else first for byte in range(256))


VALUE_TABLE = _checker(b" \t" + bytes(range(0x21, 0x7F)) + bytes(range(0x80, 0x100)))  # `_VALUE`
_TARGET_TABLE = _checker(bytes(byte for byte in range(0x21, 0x7F) if byte != 0x23))

# Fields that the server interprets.
SERVER_FIELDS = frozenset(
    (
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"expect",
        b"upgrade",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"script_name",
    )
)

# Never cached beyond their connection: their values belong to one client.
SECRETS = frozenset((b"cookie", b"authorization", b"proxy-authorization"))


class RequestLine:
    """Method, target and version; several requests may share it.

    ``gateway_cache`` is for a gateway, ``log_cache`` for the access log.
    """

    query = b""
    authority = b""  # of an absolute target
    is_usual = True  # HTTP/1.1 in origin form
    version = "1.1"  # or "1.0"
    is_simple = True  # responses have content, and lengths
    gateway_cache: Any = None
    log_cache: list[object] | None = None

    def __init__(self, method: str, target: bytes, version: str = "1.1") -> None:
        self.method = method
        self.target = target  # as sent
        self.path = target  # percent-encoded; "*" for OPTIONS * alone
        self.doing = b""  # method and path, for the scoreboard
        if version != "1.1":
            self.version = version
            self.is_simple = self.is_usual = False
        elif method == "HEAD":
            self.is_simple = False


class Template(Protocol):
    """A block that others equal but for a few values: see `field_template`."""

    block: "FieldBlock"
    gateway_cache: Any


class FieldBlock:
    """The fields of a head with their meaning; several requests may share it.

    ``gateway_cache`` is for a gateway, ``log_cache`` for the access log.
    """

    host: bytes | None = None
    content_length: int | None = None
    chunked = False
    expect_continue = False  # the client waits for 100 Continue
    upgrade = b""  # an offered protocol, in lower case; websocket only without content
    text = b"\r\n"  # the lines with the empty line
    gateway_cache: Any = None
    log_cache: list[object] | None = None

    entries: list[Any]  # made by the gateway of each field, or the fields
    changes: Sequence[Any] = ()  # the entries that differ from the template's

    keep_alive = True  # the connection may serve another request

    def __init__(self, said: dict[bytes, bytes], keep_alive: bool = True) -> None:
        self.server_fields = said  # fields of `SERVER_FIELDS`
        self.template: Template | None = None  # of an earlier block that matches this one
        if not keep_alive:
            self.keep_alive = False

    def copy(self) -> "FieldBlock":
        """Return a copy for another client, without caches. Not for a block that is `framed`."""
        return self.with_fields(self.entries, self.text)

    def with_fields(self, entries: list[Any], text: bytes) -> "FieldBlock":
        """Return a block with other fields of the same meaning. Not for a block that is
        `framed`."""
        block = FieldBlock(self.server_fields, self.keep_alive)
        block.host, block.entries, block.text = self.host, entries, text
        if self.upgrade:
            block.upgrade = self.upgrade
        return block

    @property
    def fields(self) -> Fields:
        """The fields in order; names in lower case."""
        lines = [line.partition(b":") for line in self.text.split(b"\r\n")[:-2]]
        return [(name.lower(), value.strip(b" \t")) for name, _, value in lines]

    @property
    def framed(self) -> bool:
        """Whether a length of content is given."""
        return self.chunked or self.content_length is not None

    @property
    def has_body(self) -> bool:
        """Whether content follows."""
        return self.chunked or bool(self.content_length)


ONCE: dict[str, Any] = {}  # ``gateway_cache`` after one use: a copy does not pay yet.


class RequestHead:
    """A request up to its content; several requests of a connection may share it.

    ``gateway_cache`` is for a gateway, ``log_cache`` for the access log.
    """

    gateway_cache: Any = None
    log_cache: str | None = None

    def __init__(self, line: RequestLine, block: FieldBlock) -> None:
        self.line = line
        self.block = block
        # The response has content and a length, and another request may follow.
        self.is_simple = line.is_simple and block.keep_alive

    @property
    def method(self) -> str:
        """The method, as sent."""
        return self.line.method

    @property
    def path(self) -> bytes:
        """The target's path, percent-encoded."""
        return self.line.path

    @property
    def authority(self) -> bytes:
        """The authority of an absolute target, or the Host field's value."""
        return self.line.authority or self.block.host or b""

    @property
    def handshake(self) -> bool:
        """Whether it asks for a WebSocket (RFC 6455 4.1): GET without content."""
        return self.block.upgrade == b"websocket" and self.line.method == "GET"


def read_line(text: bytes) -> RequestLine:
    """Parse a request line without its end.

    Raises ProtocolError: 505 for a version, 501 for a method, 400 for a malformed line or a target
    that is not supported.
    """
    try:
        name, target, version = text.split(b" ")
    except ValueError:
        return _read_any_line(text)
    if version == b"HTTP/1.1" and target.startswith(b"/"):
        method = METHODS.get(name)
        if method and target.translate(_TARGET_TABLE) == target:
            line = RequestLine(method, target)
            line.path, mark, query = target.partition(b"?")
            if mark:
                line.query = query
                line.doing = text[: -10 - len(query)]
            else:
                line.doing = text[:-9]
            return line
    return _read_any_line(text)


def _read_any_line(text: bytes) -> RequestLine:
    """`read_line` for anything but HTTP/1.1 in origin form."""
    match = _REQUEST_LINE.fullmatch(text)
    if match is None:
        raise ProtocolError(400, "invalid request line")
    name, target, number = match.groups()
    if number[:1] != b"1":
        raise ProtocolError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    method = METHODS.get(name)
    if method is None:
        raise ProtocolError(501, "unknown method")
    # A higher minor version is treated as 1.1 (RFC 9110 2.5).
    line = RequestLine(method, target, "1.0" if number == b"1.0" else "1.1")
    if target[0] == _SLASH:
        line.path, _, line.query = target.partition(b"?")
    else:
        line.is_usual = False
        _special_target(line)
    line.doing = name + b" " + line.path
    return line


def read_start(text: bytes) -> RequestLine | None:
    """Return method and target of a rejected or incomplete request line, for the log.

    Returns None if no method is complete. Nothing here is checked.
    """
    match = _START_OF_LINE.match(text)
    if match is None:
        return None
    name, target, number = match.groups()
    return RequestLine(name.decode(), target, (number or b"1.1").decode())


def _special_target(line: RequestLine) -> None:
    """Parse absolute and asterisk form (3.2.2, 3.2.4)."""
    if line.target == b"*":
        if line.method != "OPTIONS":
            raise ProtocolError(400, "only OPTIONS has the target *")
        return
    absolute = _ABSOLUTE.fullmatch(line.target)
    if absolute is None:
        raise ProtocolError(400, "invalid request target")
    authority, path, query = absolute.groups()
    # http and https have no empty host (RFC 9110 4.2.1), and no user (4.2.4: is_authority).
    if authority[:1] in (b"", b":") or not is_authority(authority):
        raise ProtocolError(400, "invalid authority in the request target")
    line.authority = authority
    line.query = query or b""
    line.path = path or (b"*" if line.method == "OPTIONS" and query is None else b"/")


def interpret_fields(said: Fields, line: RequestLine, limit: int) -> FieldBlock:
    """Interpret the fields behind ``line``; ``limit`` is that of content, in bytes.

    ``said`` has those of `SERVER_FIELDS`, with lower-case names, valid by `FIELD_LINE`. Raises
    ProtocolError.
    """
    found: dict[bytes, bytes] = {}
    for name, value in said:
        if name in found:
            if name == b"host":
                raise ProtocolError(400, "more than one Host field")
            value = found[name] + b"," + value  # RFC 9110 5.3; not a number for Content-Length
        found[name] = value
    block = FieldBlock(found, line.version == "1.1")
    _set_host(block, line, found.get(b"host"))
    if len(found) > 1 or block.host is None:
        _set_meaning(block, line, found, limit)
    return block


def _set_host(block: FieldBlock, line: RequestLine, host: bytes | None) -> None:
    """Check for one valid Host in HTTP/1.1 (3.2)."""
    if host is None:
        if line.version == "1.1":
            raise ProtocolError(400, "no Host field")
    elif not is_authority(host):
        raise ProtocolError(400, "invalid Host field")
    block.host = host


def _set_meaning(
    block: FieldBlock, line: RequestLine, found: dict[bytes, bytes], limit: int
) -> None:
    """Interpret the fields other than Host."""
    unknown_coding = False
    if b"transfer-encoding" in found:
        if b"content-length" in found:
            raise ProtocolError(400, "both Transfer-Encoding and Content-Length")
        unknown_coding = _set_chunked(block, line, found[b"transfer-encoding"])
    elif b"content-length" in found:
        length = found[b"content-length"]
        if not _DIGITS.fullmatch(length):
            raise ProtocolError(400, "invalid Content-Length")
        block.content_length = int(length)
    if unknown_coding:
        raise ProtocolError(501, "unknown transfer coding")
    if b"expect" in found and line.version == "1.1":
        _set_expectation(block, found[b"expect"])
    if block.content_length is not None and block.content_length > limit:
        raise ProtocolError(413, "the content is too large")
    if b"connection" in found:
        _set_options(block, line, found)


def _set_chunked(block: FieldBlock, line: RequestLine, value: bytes) -> bool:
    """Interpret Transfer-Encoding (6.1, 6.3). Returns whether other codings, all unknown,
    precede ``chunked``."""
    if line.version == "1.0":
        raise ProtocolError(400, "Transfer-Encoding in HTTP/1.0")
    codings = [part.strip(b" \t") for part in value.lower().split(b",")]
    if b"" in codings:  # a recipient may ignore an empty member (RFC 9110 5.6.1); a proxy may not
        raise ProtocolError(400, "an empty transfer coding")
    if codings[-1] != b"chunked" or b"chunked" in codings[:-1]:
        raise ProtocolError(400, "chunked is not the final transfer coding, once")
    block.chunked = True
    return len(codings) > 1


def _set_expectation(block: FieldBlock, value: bytes) -> None:
    """Interpret Expect (RFC 9110 10.1.1)."""
    for expectation in list_members(value):
        if expectation != b"100-continue":
            raise ProtocolError(417, "unknown expectation")
        block.expect_continue = block.has_body


def _set_options(block: FieldBlock, line: RequestLine, found: dict[bytes, bytes]) -> None:
    """Interpret Connection and Upgrade (9.3, 9.6; RFC 9110 7.8: HTTP/1.0 has no Upgrade)."""
    if found[b"connection"] == b"keep-alive" and line.version == "1.1":
        return  # the usual case
    if found[b"connection"] == b"close":
        block.keep_alive = False
        return
    options = list_members(found[b"connection"])
    if b"close" in options:
        block.keep_alive = False
    elif line.version == "1.0":
        block.keep_alive = b"keep-alive" in options
    if b"upgrade" in options and b"upgrade" in found and line.version == "1.1":
        protocols = list_members(found[b"upgrade"])
        if b"websocket" not in protocols:
            block.upgrade = protocols[0] if protocols else b""
        elif not block.has_body:  # the method is checked by `handshake`
            block.upgrade = b"websocket"


def list_members(value: bytes) -> list[bytes]:
    """Return the members of a comma-separated list in lower case (RFC 9110 5.6.1)."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]
