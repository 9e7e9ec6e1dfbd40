"""What RFC 9110 and 9112 ask of a server's parser: raw bytes in, requests or a status out.

Both parsers are asked; where h11 does otherwise, `differences` says who is right.
"""

from typing import Any

import pytest

from pyfork.errors import ProtocolError
from pyfork.http.request.h11_parser import H11Parser
from pyfork.http.request.parsing import ParserState, RequestParser
from tests.http.corpus import BEHIND, CHUNKED, FIRST, HANDSHAKE, REFUSED, SERVED, get, name
from tests.http.differences import DIFFERENCES
from tests.http.reading import Outcome, new_parser, parts, read, read_everyhow


def paths(outcome: Outcome) -> list[bytes]:
    return [request.head.path for request in outcome.complete]


@pytest.mark.parametrize(("row", "status", "raw"), REFUSED, ids=map(name, REFUSED))
def test_refused(kind: type[RequestParser], row: int, status: int, raw: bytes) -> None:
    """With what came before it delivered, and nothing of what is behind it."""
    outcome = read_everyhow(FIRST + raw + BEHIND, kind)
    if kind is H11Parser and raw in DIFFERENCES:
        status_of_h11, served, _ = DIFFERENCES[raw]
        assert (outcome.status, len(outcome.complete)) == (status_of_h11, served)
        return
    assert outcome.status == status
    assert paths(outcome) == [b"/first"]


@pytest.mark.parametrize(("row", "raw", "body", "expected"), SERVED, ids=map(name, SERVED))
def test_served(
    kind: type[RequestParser], row: int, raw: bytes, body: bytes, expected: dict[str, Any]
) -> None:
    """With one before and one behind it, unless it is the last of its connection."""
    outcome = read_everyhow(FIRST + raw + BEHIND, kind)
    assert outcome.status is None
    request = outcome.complete[1]
    assert {name: parts(request.head)[name] for name in expected} == expected
    assert request.body == body
    assert len(outcome.complete) == 2 + request.head.block.keep_alive


def test_stops_behind_a_websocket_handshake(kind: type[RequestParser]) -> None:
    outcome = read_everyhow(FIRST + HANDSHAKE + b"\x81\x05hello", kind)
    assert outcome.status is None
    assert paths(outcome) == [b"/first", b"/ws"]
    assert outcome.rest == b"\x81\x05hello"


def test_goes_on_behind_a_handshake_that_is_not_taken(kind: type[RequestParser]) -> None:
    outcome = Outcome()
    parser = new_parser(outcome, kind=kind)
    rest = parser.feed(HANDSHAKE + HANDSHAKE + BEHIND)
    rest = parser.feed(rest)
    assert rest == BEHIND
    assert parser.feed(rest) == b""
    assert paths(outcome) == [b"/ws", b"/ws", b"/behind"]


def test_nothing_is_parsed_after_an_error(kind: type[RequestParser]) -> None:
    outcome = Outcome()
    parser = new_parser(outcome, kind=kind)
    for data in (b"BAD\r\n\r\n", FIRST, FIRST):
        with pytest.raises(ProtocolError) as caught:
            parser.feed(data)
        assert caught.value.status == 400
    assert outcome.requests == []


def test_drops_what_follows_the_last_request(kind: type[RequestParser]) -> None:
    outcome = read([get(b"Connection: close\r\n") + BEHIND, b"\0\0", BEHIND], kind=kind)
    assert outcome.status is None
    assert len(outcome.requests) == 1


@pytest.mark.parametrize("start", [b"\x16\x03\x01\x02\0", b" ", b"\0", b"\r\r", b"\r\n\x80"])
def test_what_cannot_become_a_request_is_refused_at_once(
    kind: type[RequestParser], start: bytes
) -> None:
    assert read(start, kind=kind).status == read(start, 1, kind=kind).status == 400


def test_tells_where_it_stands(kind: type[RequestParser]) -> None:
    between, head, body = ParserState
    steps = [
        (b"\r\n", between),
        (b"P", head),
        (b"OST / HTTP/1.1\r\nHost: a\r\n", head),
        (b"Content-Length: 2\r\n\r\n", body),
        (b"x", body),
        (b"x" + FIRST, between),
        (CHUNKED, body),
        (b"1\r\nx\r\n0\r\n", body),
        (b"\r\n", between),
        (FIRST[:-1], head),
        (FIRST[-1:], between),
    ]
    parser = new_parser(Outcome(), kind=kind)
    assert parser.state is between
    for data, state in steps:
        parser.feed(data)
        assert parser.state is state, data


def test_differences_are_of_the_corpus() -> None:
    assert set(DIFFERENCES) <= {raw for _, _, raw in REFUSED}
