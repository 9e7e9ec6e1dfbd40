"""Response heads and framing: the grammar that leaves, and the statuses without content."""

from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfork.http.errors import ResponseError
from pyfork.http.request.head import FieldBlock, RequestHead, RequestLine
from pyfork.http.response.head import Response, build_response, plain_error

Fields = list[tuple[bytes, bytes]]

DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
SERVER = b"Server: pyfork\r\n"


def request(method: str = "GET", version: str = "1.1", *, keep_alive: bool = True) -> RequestHead:
    return RequestHead(RequestLine(method, b"/", version), FieldBlock({}, keep_alive=keep_alive))


OLD = request(version="1.0", keep_alive=False)
OLD_KEPT = request(version="1.0")
HEAD = request("HEAD")


def lines(response: Response) -> list[bytes]:
    """The field lines."""
    head = response.head
    assert head.endswith(b"\r\n\r\n")
    return head.split(b"\r\n")[1:-2]


FRAMING: list[tuple[RequestHead | None, int, Fields, dict[str, Any], list[bytes]]] = [
    # request, status, the application's fields, more of begin's, the lines sent
    (request(), 200, [], {"length": 5}, [b"Content-Length: 5"]),
    (request(), 200, [], {"length": 0}, [b"Content-Length: 0"]),
    (request(), 200, [], {}, [b"Transfer-Encoding: chunked"]),
    (request(), 200, [(b"content-length", b" 5 ")], {}, [b"content-length: 5"]),
    (request(), 200, [(b"Content-Length", b"5")], {"length": 5}, [b"Content-Length: 5"]),
    (request(), 200, [(b"transfer-encoding", b"Chunked")], {}, [b"Transfer-Encoding: chunked"]),
    (request(), 200, [(b"Transfer-Encoding", b"chunked")], {"length": 5}, [b"Content-Length: 5"]),
    # Both: ours to set is dropped (RFC 9112 6.2).
    (
        request(),
        200,
        [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5")],
        {},
        [b"Content-Length: 5"],
    ),
    (
        HEAD,
        200,
        [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")],
        {"length": 0},
        [b"Content-Length: 5"],
    ),
    (None, 400, [], {"length": 5, "closing": True}, [b"Content-Length: 5", b"Connection: close"]),
    # HTTP/1.0: no codings, and persistence only where it is announced.
    (OLD, 200, [], {"length": 5}, [b"Content-Length: 5", b"Connection: close"]),
    (OLD_KEPT, 200, [], {"length": 5}, [b"Content-Length: 5", b"Connection: keep-alive"]),
    (OLD_KEPT, 200, [], {}, [b"Connection: close"]),
    (OLD_KEPT, 204, [], {}, [b"Connection: keep-alive"]),
    # No content.
    (HEAD, 200, [], {"length": 5}, [b"Content-Length: 5"]),
    (HEAD, 200, [], {"length": 0}, []),
    (HEAD, 200, [], {}, []),
    (HEAD, 200, [(b"Content-Length", b"5")], {"length": 0}, [b"Content-Length: 5"]),
    (request(), 204, [], {"length": 0}, []),
    (request(), 204, [(b"A", b"b"), (b"Content-Length", b"0")], {}, [b"A: b"]),
    (request(), 205, [(b"Content-Length", b"5")], {}, [b"Content-Length: 0"]),
    (request(), 304, [], {"length": 0}, []),
    (request(), 304, [(b"Content-Length", b"5")], {"length": 0}, [b"Content-Length: 5"]),
    # The connection is the server's.
    (
        request(),
        200,
        [],
        {"length": 0, "closing": True},
        [b"Content-Length: 0", b"Connection: close"],
    ),
    (request(keep_alive=False), 204, [], {}, [b"Connection: close"]),
    (request(), 204, [(b"Connection", b"x, Close")], {}, [b"Connection: close"]),
    (OLD_KEPT, 204, [(b"Connection", b"close")], {}, [b"Connection: close"]),
    (request(), 204, [(b"Connection", b"keep-alive, x"), (b"Keep-Alive", b"timeout=5")], {}, []),
    (request(), 204, [(b"TE", b"x"), (b"Trailer", b"x"), (b"Proxy-Connection", b"close")], {}, []),
    (request(), 204, [(b"Upgrade", b"x")], {}, [b"Upgrade: x", b"Connection: upgrade"]),
    (
        request(),
        204,
        [(b"Connection", b"upgrade, close"), (b"Upgrade", b"x")],
        {},
        [b"Upgrade: x", b"Connection: upgrade, close"],
    ),
    # Date and Server.
    (request(), 204, [], {"date": DATE, "server": SERVER}, [DATE[:-2], SERVER[:-2]]),
    (
        request(),
        204,
        [(b"dAte", b"x")],
        {"date": DATE, "server": SERVER},
        [SERVER[:-2], b"dAte: x"],
    ),
    (
        request(),
        204,
        [(b"server", b"x")],
        {"date": DATE, "server": SERVER},
        [DATE[:-2], b"server: x"],
    ),
    # Values.
    (
        request(),
        204,
        [(b"A", b" \tb c\t "), (b"B", b""), (b"C", b"\xe4")],
        {},
        [b"A: b c", b"B: ", b"C: \xe4"],
    ),
]


@pytest.mark.parametrize(("to", "status", "fields", "more", "expected"), FRAMING)
def test_fields(
    to: RequestHead | None, status: int, fields: Fields, more: dict[str, Any], expected: list[bytes]
) -> None:
    response = build_response(to, status, None, fields, **more)
    assert lines(response) == expected
    assert response.close is any(b"close" in line for line in expected if line[:1] == b"C")
    assert response.headers == [tuple(line.split(b": ", 1)) for line in expected]


REFUSED: list[tuple[int, bytes | None, Any]] = [
    (99, None, []),
    (100, None, []),
    (101, None, []),
    (600, None, []),
    (200, b"O\rK", []),
    (200, b"OK\r\nA: b", []),
    (200, b"O\0K", []),
    (200, None, [(b"", b"x")]),
    (200, None, [(b"a b", b"x")]),
    (200, None, [(b"a:", b"x")]),
    (200, None, [(b"a: b", b"x")]),
    (200, None, [(b"a\r\nb", b"x")]),
    (200, None, [(b"\xe4", b"x")]),
    (200, None, [(b"a", b"x\r\nb: y")]),
    (200, None, [(b"a", b"x\n")]),
    (200, None, [(b"a", b"\rx")]),
    (200, None, [(b"a", b"x\0")]),
    (200, None, [(b"a", b"\x7f")]),
    (200, None, [(b"a", b"\x0b")]),
    (200, None, [("a", "x")]),
    (200, None, [(b"a", 5)]),
    (200, None, [(b"a", b"x", b"y")]),
    (200, None, [b"ax"]),
    (200, None, [(b"content-length", b"5"), (b"Content-Length", b"5")]),
    (200, None, [(b"content-length", b"")]),
    (200, None, [(b"content-length", b"+5")]),
    (200, None, [(b"content-length", b"5, 5")]),
    (200, None, [(b"content-length", b"\xb2")]),
    (200, None, [(b"content-length", b"9" * 19)]),
    (204, None, [(b"content-length", b"x")]),
    (200, None, [(b"transfer-encoding", b"gzip, chunked")]),
    (200, None, [(b"transfer-encoding", b"")]),
    (200, None, [(b"transfer-encoding", b"gzip"), (b"content-length", b"5")]),
]


@pytest.mark.parametrize(("status", "reason", "fields"), REFUSED)
def test_refused(status: int, reason: bytes | None, fields: Any) -> None:
    with pytest.raises(ResponseError):
        build_response(request(), status, reason, fields)


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [
        (200, None, b"HTTP/1.1 200 OK"),
        (404, None, b"HTTP/1.1 404 Not Found"),
        (299, None, b"HTTP/1.1 299 "),
        (200, b"OK", b"HTTP/1.1 200 OK"),
        (200, b"", b"HTTP/1.1 200 "),
        (200, b"Fine \xe4", b"HTTP/1.1 200 Fine \xe4"),
    ],
)
def test_status_line(status: int, reason: bytes | None, line: bytes) -> None:
    assert build_response(request(), status, reason, [], length=0).head.split(b"\r\n")[0] == line


def test_content_keeps_to_its_length() -> None:
    response = build_response(request(), 200, None, [(b"content-length", b"5")])
    assert response.body(b"hel") == b"hel"
    assert response.remaining == 2
    with pytest.raises(ResponseError):
        response.end()
    with pytest.raises(ResponseError):
        response.body(b"lo!")
    response.sent(2)
    assert (response.remaining, response.end()) == (0, b"")
    with pytest.raises(ResponseError):
        response.sent(1)


def test_known_content_is_checked_before_the_head() -> None:
    with pytest.raises(ResponseError):
        build_response(request(), 200, None, [(b"content-length", b"5")], length=4)
    longer = build_response(request(), 200, None, [(b"content-length", b"5")], length=6)
    with pytest.raises(ResponseError):
        longer.body(b"hello!")


def test_chunks() -> None:
    response = build_response(request(), 200, None, [])
    assert (response.chunked, response.remaining) == (True, None)
    assert response.body(b"") == b""
    assert response.body(b"x" * 16) == b"10\r\n" + b"x" * 16 + b"\r\n"
    assert response.end() == b"0\r\n\r\n"


def test_content_that_ends_with_the_connection() -> None:
    response = build_response(OLD_KEPT, 200, None, [])
    assert (response.close, response.chunked, response.remaining) == (True, False, None)
    assert (response.body(b"x"), response.end()) == (b"x", b"")


@pytest.mark.parametrize(
    ("to", "status"), [(HEAD, 200), (request(), 204), (request(), 205), (request(), 304)]
)
@pytest.mark.parametrize("fields", [[], [(b"content-length", b"5")]])
def test_no_content(to: RequestHead, status: int, fields: Fields) -> None:
    response = build_response(to, status, None, fields)
    assert response.body(b"hello, world") == b""
    response.sent(5)
    assert (response.end(), response.remaining, response.close) == (b"", 0, False)


def test_content_is_bytes() -> None:
    response = build_response(request(), 200, None, [])
    assert response.body(bytearray(b"x")) == response.body(memoryview(b"x")) == b"1\r\nx\r\n"  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        response.body("x")  # type: ignore[arg-type]


def test_plain_error() -> None:
    raw = plain_error(431, "the header fields are too large", date=DATE, server=SERVER)
    status, fields, body = by_h11(request(), raw)
    assert (status, body) == (431, b"the header fields are too large\n")
    assert dict(fields)[b"connection"] == b"close"


# Whatever is made is read back as it was meant.

TOKEN = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8).map(str.encode)
TEXT = st.text([chr(code) for code in range(256)], max_size=8).map(
    lambda text: text.encode("latin-1")
)
CLEAN = TEXT.map(lambda text: bytes(c for c in text if (c >= 0x20 and c != 0x7F) or c == 9))
NAMES = st.sampled_from(
    [
        b"Content-Length",
        b"transfer-encoding",
        b"Connection",
        b"Date",
        b"server",
        b"Upgrade",
        b"Trailer",
    ]
)
VALUES = st.sampled_from([b"5", b"close", b"chunked", b"0", b"Close, upgrade"])
FIELDS = st.lists(
    st.tuples(TOKEN, CLEAN) | st.tuples(NAMES, VALUES) | st.tuples(TOKEN | TEXT, CLEAN | TEXT),
    max_size=5,
)
REQUESTS = st.sampled_from([request(), OLD, OLD_KEPT, HEAD, request(keep_alive=False)])
PIECES = st.lists(st.binary(max_size=6), max_size=4)
OURS = {b"content-length", b"transfer-encoding", b"connection", b"date", b"server"}
NOT_PASSED = OURS | {b"trailer"}


@given(
    to=REQUESTS,
    status=st.integers(199, 600) | st.sampled_from([200, 204, 205, 304]),
    reason=st.none() | CLEAN | TEXT,
    fields=FIELDS,
    pieces=PIECES,
    known=st.booleans(),
)
@settings(deadline=None)
def test_an_independent_reader_reads_it_back(
    to: RequestHead,
    status: int,
    reason: bytes | None,
    fields: Fields,
    pieces: list[bytes],
    known: bool,
) -> None:
    length = sum(map(len, pieces)) if known else None
    try:
        response = build_response(
            to, status, reason, fields, date=DATE, server=SERVER, length=length
        )
        raw = response.head + b"".join(map(response.body, pieces)) + response.end()
    except ResponseError:
        return
    read_status, read_fields, body = by_h11(to, raw)
    assert read_status == status
    assert body == (b"".join(pieces) if response._content else b"")
    passed = [(name.lower(), value.strip(b" \t")) for name, value in fields]
    assert [field for field in read_fields if field[0] not in NOT_PASSED] == [
        field for field in passed if field[0] not in NOT_PASSED
    ]
    names = [name for name, _ in read_fields]
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert b"date" in names
    assert response.close == (b"close" in dict(read_fields).get(b"connection", b""))


@given(fields=st.lists(st.tuples(TOKEN, CLEAN), max_size=5), reason=CLEAN, pieces=PIECES)
@settings(deadline=None)
def test_what_is_valid_is_never_refused(fields: Fields, reason: bytes, pieces: list[bytes]) -> None:
    response = build_response(request(), 200, reason, fields)
    _, read_fields, body = by_h11(
        request(), response.head + b"".join(map(response.body, pieces)) + response.end()
    )
    assert read_fields[: len(fields)] == [
        (name.lower(), value.strip(b" \t")) for name, value in fields
    ]
    assert body == b"".join(pieces)


def by_h11(to: RequestHead, raw: bytes) -> tuple[int, Fields, bytes]:
    """Status, fields and content as h11's client reads them; nothing may be left over."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=to.method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(raw)
    head = client.next_event()
    assert type(head) is h11.Response, head
    body = b""
    while True:
        event: Any = client.next_event()
        if event is h11.NEED_DATA:
            assert b"transfer-encoding" not in dict(head.headers)
            client.receive_data(b"")
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            body += event.data
    assert client.trailing_data[0] == b""
    return head.status_code, list(head.headers), body
