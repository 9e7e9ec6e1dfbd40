"""The head of a request: its grammar and its meaning, in one place for every parser.

Here lives each check that needs no more than the head's own bytes: request line, target, Host,
framing, connection options, expectation, upgrade. Nothing here keeps state or knows a parser.
Rules are of RFC 9112 unless said otherwise. Checks go by the order of the bytes, and within the
meaning of a whole head first those that end in 400, so that a head has one answer however its
bytes arrive.
"""

import re

from pyfork.errors import ProtocolError
from pyfork.http.authority import is_authority
from pyfork.http.limits import Limits

Fields = list[tuple[bytes, bytes]]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]"  # RFC 9110 5.5, obs-text included

# A target is any visible ASCII: browsers send more than RFC 3986 has. No fragment, though (3.2).
# Possessive are single characters only: of groups, CPython matches them wrongly before 3.11.5. What
# a group repeats is told apart by its first byte, so that there is nothing to gain by going back.
REQUEST_LINE = re.compile(rb"(%b++) ([!\"$-~]++) HTTP/([0-9]\.[0-9])\r\n" % TOKEN)
FIELD_LINE = re.compile(rb"%b++:%b*+\r\n" % (TOKEN, _VALUE))
HEAD = re.compile(rb"%b((?:%b)*\r\n)" % (REQUEST_LINE.pattern, FIELD_LINE.pattern))

# IANA's registry of methods, and PURGE. What is not here gets 501 (RFC 9110 9.1), and so do
# CONNECT and PRI, which are for proxies and for HTTP/2. Methods are case-sensitive.
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

# The fields that mean something to the server itself.
_OURS = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade")
)


class RequestHead:
    """A request up to its content.

    The request line makes one, `complete` adds the fields.
    """

    __slots__ = (
        "authority",
        "chunked",
        "content_length",
        "expect_continue",
        "headers",
        "keep_alive",
        "method",
        "path",
        "query",
        "target",
        "upgrade",
        "version",
    )

    def __init__(self, method: str, target: bytes, version: str) -> None:
        self.method = method
        self.target = target  # as it was sent
        self.version = version  # "1.0" or "1.1"
        self.path = target  # still percent-encoded; "*" for OPTIONS * alone
        self.query = b""
        self.authority = b""  # of an absolute target, else the Host field's value
        self.headers: Fields = []  # names in lower case, in the order they came
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = version == "1.1"
        self.expect_continue = False  # the client waits for 100 before it sends its content
        self.upgrade = b""  # in lower case; b"" where none is to be thought of

    @property
    def has_body(self) -> bool:
        """Whether content follows."""
        return self.chunked or bool(self.content_length)


def begin_head(line: "re.Match[bytes]") -> RequestHead:
    """The head that a match of `REQUEST_LINE`, or `HEAD`, begins.

    Raises ProtocolError: 505 for a version, 501 for a method, 400 for a target that is not served.
    """
    name, target, number = line.group(1, 2, 3)
    if number == b"1.1":
        version = "1.1"
    elif number == b"1.0":
        version = "1.0"
    elif number[:1] == b"1":
        version = "1.1"  # a higher minor version is understood as ours (RFC 9110 2.5)
    else:
        raise ProtocolError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    method = METHODS.get(name)
    if method is None:
        raise ProtocolError(501, "unknown method")
    head = RequestHead(method, target, version)
    if target[0] == _SLASH:
        if b"?" in target:
            head.path, _, head.query = target.partition(b"?")
    else:
        _special_target(head)
    return head


def _special_target(head: RequestHead) -> None:
    """Absolute and asterisk form (3.2.2, 3.2.4)."""
    if head.target == b"*":
        if head.method != "OPTIONS":
            raise ProtocolError(400, "only OPTIONS has the target *")
        return
    absolute = _ABSOLUTE.fullmatch(head.target)
    if absolute is None:
        raise ProtocolError(400, "invalid request target")
    authority, path, query = absolute.groups()
    # http and https have no empty host (RFC 9110 4.2.1), and no user (4.2.4: is_authority).
    if authority[:1] in (b"", b":") or not is_authority(authority):
        raise ProtocolError(400, "invalid authority in the request target")
    head.authority = authority
    head.query = query or b""
    head.path = path or (b"*" if head.method == "OPTIONS" and query is None else b"/")


def complete(head: RequestHead, fields: Fields, limits: Limits) -> None:
    """Add the fields to ``head``, and what they mean.

    ``fields`` have names in lower case and keep to the grammar of `FIELD_LINE`.
    Raises ProtocolError.
    """
    head.headers = fields
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in _OURS:
            if name in found:
                if name == b"host":
                    raise ProtocolError(400, "more than one Host field")
                value = found[name] + b"," + value  # RFC 9110 5.3; no number for Content-Length
            found[name] = value
    _set_authority(head, found.pop(b"host", None))
    if found:
        _set_meaning(head, found, limits)


def _set_authority(head: RequestHead, host: bytes | None) -> None:
    """3.2, 3.2.2: one valid Host in HTTP/1.1; an absolute target has the better word."""
    if host is None:
        if head.version == "1.1":
            raise ProtocolError(400, "no Host field")
    elif not is_authority(host):
        raise ProtocolError(400, "invalid Host field")
    if not head.authority:
        head.authority = host or b""
    elif head.authority != host:
        others = [field for field in head.headers if field[0] != b"host"]
        head.headers = [(b"host", head.authority), *others]


def _set_meaning(head: RequestHead, found: dict[bytes, bytes], limits: Limits) -> None:
    """What the fields other than Host say."""
    unknown_coding = False
    if b"transfer-encoding" in found:
        if b"content-length" in found:
            raise ProtocolError(400, "both Transfer-Encoding and Content-Length")
        unknown_coding = _set_chunked(head, found[b"transfer-encoding"])
    elif b"content-length" in found:
        length = found[b"content-length"]
        if not _DIGITS.fullmatch(length):
            raise ProtocolError(400, "invalid Content-Length")
        head.content_length = int(length)
    if unknown_coding:
        raise ProtocolError(501, "unknown transfer coding")
    if b"expect" in found and head.version == "1.1":
        _set_expectation(head, found[b"expect"])
    if head.content_length is not None and head.content_length > limits.body:
        raise ProtocolError(413, "the content is too large")
    if b"connection" in found:
        _set_options(head, found)


def _set_chunked(head: RequestHead, value: bytes) -> bool:
    """6.1, 6.3. Returns whether other codings, all unknown here, lie under ``chunked``."""
    if head.version == "1.0":
        raise ProtocolError(400, "Transfer-Encoding in HTTP/1.0")
    codings = members(value)
    if not codings or codings[-1] != b"chunked" or b"chunked" in codings[:-1]:
        raise ProtocolError(400, "chunked is not the final transfer coding, once")
    head.chunked = True
    return len(codings) > 1


def _set_expectation(head: RequestHead, value: bytes) -> None:
    """RFC 9110 10.1.1."""
    for expectation in members(value):
        if expectation != b"100-continue":
            raise ProtocolError(417, "unknown expectation")
        head.expect_continue = head.has_body


def _set_options(head: RequestHead, found: dict[bytes, bytes]) -> None:
    """9.3, 9.6; RFC 9110 7.8: in HTTP/1.0 an Upgrade is ignored."""
    options = members(found[b"connection"])
    if b"close" in options:
        head.keep_alive = False
    elif head.version == "1.0":
        head.keep_alive = b"keep-alive" in options
    if b"upgrade" in options and b"upgrade" in found and head.version == "1.1":
        protocols = members(found[b"upgrade"])
        if b"websocket" not in protocols:
            head.upgrade = protocols[0] if protocols else b""
        elif head.method == "GET" and not head.has_body:  # RFC 6455 4.1
            head.upgrade = b"websocket"


def members(value: bytes) -> list[bytes]:
    """The members of a comma-separated list, in lower case (RFC 9110 5.6.1)."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]
