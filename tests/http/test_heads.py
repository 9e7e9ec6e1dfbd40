"""Response heads of a worker that remembers: what it makes is what the rules make, each time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfork.http.errors import ResponseError
from pyfork.http.request.head import FieldBlock, RequestHead, RequestLine
from pyfork.http.response.head import Response, build_response
from pyfork.http.response.head_cache import ResponseHeads

DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
SERVER = b"Server: pyfork\r\n"

NAMES = [b"content-type", b"Content-Length", b"content-length", b"X-A", b"Set-Cookie", b"Date"]
NAMES += [b"Server", b"Connection", b"Transfer-Encoding", b"Upgrade", b"", b"a b", b"A\r\nB"]
VALUES = [b"text/plain", b"5", b"05", b" 5 ", b"-1", b"close", b"chunked", b"a\r\nb", b"\0", b""]
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4)
REQUESTS = st.builds(
    lambda method, version, keep: RequestHead(
        RequestLine(method, b"/", version), FieldBlock({}, keep_alive=keep)
    ),
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from(["1.0", "1.1"]),
    st.booleans(),
)


def outcome(make: Any, *given: Any, **more: Any) -> object:
    """What became of it, comparable."""
    try:
        made: Response = make(*given, **more)
    except ResponseError:
        return ResponseError
    return made.status, made.head, made.close, made.chunked, made.remaining, made.body(b"") == b""


@given(
    calls=st.lists(
        st.tuples(
            REQUESTS,
            st.sampled_from([200, 204, 205, 304, 404, 500, 99, 600]),
            st.sampled_from([None, None, b"OK", b"Fine", b"a\r\nb"]),
            FIELDS,
            st.booleans(),
            st.sampled_from([None, 0, 5, 7]),
            st.sampled_from(["bytes", "text"]),
        ),
        max_size=6,
    )
)
@settings(max_examples=300, deadline=None)
def test_it_makes_what_the_rules_make(calls: list[Any]) -> None:
    heads = ResponseHeads(server=SERVER)
    heads.date(DATE)
    for request, status, reason, fields, closing, length, kind in calls * 2:
        passed: list[Any] = fields
        if kind == "text":
            passed = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
        more = {"closing": closing, "length": length}
        expected = outcome(
            build_response, request, status, reason, fields, date=DATE, server=SERVER, **more
        )
        said = request, status, reason, passed, closing, length
        assert outcome(heads.begin, *said) == expected
        if length is not None:
            assert (
                outcome(heads.build_whole, *said) == outcome(heads.build_whole, *said) == expected
            )


GET = RequestHead(RequestLine("GET", b"/", "1.1"), FieldBlock({}, keep_alive=True))


@pytest.mark.parametrize(
    "fields",
    [
        [("x", "\u20ac")],
        [("x", 5)],
        [(b"x", "y")],
        [("x", b"y")],
        [("x",)],
        [("x", "y", "z")],
        [5],
        ["xy z"],
        [["x", "y\r\n"]],
        [(["x"], "y")],
        [(None, None)],
    ],
)
def test_what_is_no_field_is_refused(fields: list[Any]) -> None:
    heads = ResponseHeads(server=b"")
    for _ in range(2):
        with pytest.raises(ResponseError):
            heads.begin(GET, 200, None, fields, False, 0)


def test_pairs_may_be_lists_and_the_fields_an_iterator() -> None:
    head = ResponseHeads(server=b"").begin(GET, 200, None, iter([["A", "b"]]), False, 0).head
    assert b"A: b\r\n" in head


def test_what_an_application_changes_is_seen() -> None:
    """It may use its own list of fields again, and pairs that are lists."""
    heads = ResponseHeads(server=b"")
    for fields in ([("A", "1")], [["A", "1"]]):
        for number in range(3):
            fields[0] = type(fields[0])(("A", str(number)))  # type: ignore[arg-type]
            assert b"A: %d\r\n" % number in heads.build_whole(GET, 200, None, fields, False, 0).head
    pair = ["A", "1"]
    assert b"A: 1\r\n" in heads.build_whole(GET, 200, None, [pair], False, 0).head
    pair[1] = "2"
    assert b"A: 2\r\n" in heads.build_whole(GET, 200, None, [pair], False, 0).head


def test_the_memory_is_bounded_and_keeps_no_cookies() -> None:
    heads = ResponseHeads(server=b"")
    for number in range(3000):
        fields = [("ETag", f'"{number}"'), ("Content-Length", str(number)), ("Set-Cookie", "a=b")]
        made = heads.begin(GET, 200, None, fields, False, number)
        expected = b'ETag: "%d"\r\nContent-Length: %d\r\nSet-Cookie: a=b' % (number, number)
        assert expected in made.head
        assert made.remaining == number
    assert len(heads._lines) <= 512
    assert ("Set-Cookie", "a=b") not in heads._lines


def test_the_date_moves_on() -> None:
    heads = ResponseHeads(server=SERVER)
    for line in (DATE, DATE.replace(b"37", b"38")):
        heads.date(line)
        assert line + SERVER in heads.begin(GET, 200, None, [], False, 0).head


def test_two_framings_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """RFC 9112 6.2: they exclude each other."""
    heads = ResponseHeads(server=b"")
    fields = [("Transfer-Encoding", "chunked"), ("Content-Length", "5")]
    for _ in range(3):
        assert heads.build_whole(GET, 200, None, fields, False, 5).head.count(b"ength: 5\r\n") == 1
        assert not heads.begin(GET, 200, None, fields, False, None).chunked
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "GET /: the application sent both" in record.getMessage()
