"""The invariants of `test_parser` by hypothesis, which finds the shortest stream that breaks one.

The inputs are requests with nasty parts put in, since smuggling is two parsers that disagree.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.limits import SizeLimits
from pyfork.http.request.parsing import RequestParser
from tests.fuzz.test_parser import judge
from tests.http.reading import PARSERS, read

NASTY = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b"\0",
        b":",
        b",",
        b";",
        b"\x80",
        b"\x0b",
        b"-",
        b"_",
        b"",
    ),
    *(b"0", b"5", b"+5", b"0x5", b"fffffffffffffffff", b"hello", b"\r\n\r\n", b"0\r\n\r\n"),
    *(b"5\r\nhello\r\n", b'5;a="b"\r\nhello\r\n', b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    *(b"Content-Length: 5\r\n", b"content-length:5\r\n", b"-Content-Length: 5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"transfer-encoding: Chunked \r\n", b"gzip, "),
    *(
        b"Connection: close\r\n",
        b"Connection: Upgrade\r\nUpgrade: x\r\n",
        b"Expect: 100-continue\r\n",
    ),
    *(
        b"Host: b\r\n",
        b"Cookie: a=b\r\n",
        b" folded\r\n",
        b"HTTP/1.0",
        b"http://b",
        b"*",
        b"#",
        b"?",
    ),
]
LINES = [b"GET / HTTP/1.1", b"POST /x?y HTTP/1.1", b"GET http://c/ HTTP/1.1", b"HEAD / HTTP/1.0"]
BODIES = [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\nName: x\r\n\r\n"]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is nearly valid."""
    fields = draw(
        st.lists(st.sampled_from([part for part in NASTY if part[-1:] == b"\n"]), max_size=4)
    )
    host = draw(st.sampled_from([b"Host: a\r\n"] * 3 + [b""]))
    raw = draw(st.sampled_from(LINES)) + b"\r\n" + host + b"".join(fields) + b"\r\n"
    raw += draw(st.sampled_from(BODIES))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.sampled_from(NASTY)) + raw[at + draw(st.integers(0, 2)) :]
    return raw


STREAMS = st.lists(requests(), min_size=1, max_size=3).map(b"".join)


@pytest.mark.parametrize("kind", PARSERS.values(), ids=PARSERS)
@given(raw=st.one_of(STREAMS, st.binary(max_size=200)), size=st.integers(1, 40))
@settings(deadline=None)
@example(
    raw=b"GET / HTTP/1.1\r\nHost: a\r\n-Content-Length: 5\r\n--content-length: 6\r\n\r\n", size=3
)
def test_one_outcome(kind: type[RequestParser], raw: bytes, size: int) -> None:
    expected = read(raw, kind=kind).summary()
    assert read(raw, size, kind=kind).summary() == expected
    assert read(raw, 1, kind=kind).summary() == expected


@given(streams=st.lists(STREAMS, min_size=1, max_size=3), size=st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_one_outcome_for_all_that_is_remembered(streams: list[bytes], size: int) -> None:
    """What was read before, on this connection and on others, changes nothing."""
    reader = HeadReader(SizeLimits())
    for raw in streams * 2:
        assert read(raw, size, reader=reader).summary() == read(raw).summary()
    assert read(streams * 2).summary() == read(b"".join(streams * 2)).summary()


@given(first=st.integers(40, 120), cut=st.integers(1, 300))
@settings(max_examples=200, deadline=None)
@example(first=60, cut=50)
def test_content_is_never_taken_for_the_request_that_it_looks_like(first: int, cut: int) -> None:
    """The head that was read last, as content: behind a proxy its sender is another client."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %03d\r\n\r\n" % first
    raw = head + (head + b"x" * first) * 3
    expected = read(raw).summary()
    assert read([raw[:cut], raw[cut:]]).summary() == expected
    assert (
        read([head, raw[len(head) : 2 * len(head) + first], raw[2 * len(head) + first :]]).summary()
        == expected
    )


@given(raw=STREAMS)
@settings(max_examples=300, deadline=None)
def test_witnesses_read_alike_what_is_served(raw: bytes) -> None:
    judge(raw)
