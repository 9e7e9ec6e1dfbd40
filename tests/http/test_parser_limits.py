"""Each part of a request has a limit, which holds at its very byte and without buffering first."""

import time
from collections.abc import Iterator

import pytest

from pyfork.config.config import Config
from pyfork.http.request.chunked import EXTENSIONS
from pyfork.http.request.h11_parser import H11Parser
from pyfork.http.request.limits import UNLIMITED, SizeLimits
from pyfork.http.request.parsing import RequestParser
from tests.http.corpus import CHUNKED, get
from tests.http.reading import Outcome, new_parser, read, read_everyhow


def endless(start: bytes, piece: bytes) -> Iterator[bytes]:
    yield start
    while True:
        yield piece


SMALL = {"line": 100, "field": 200, "fields": 10, "head": 1000, "body": 500}
ENDLESS = [
    # status, what begins, what never ends, and the bytes that may be taken before the refusal
    (414, b"GET /", b"a", 101),
    (414, b"", b"A", 101),
    (431, b"GET / HTTP/1.1\r\n", b"a", 16 + 201),
    (431, b"GET / HTTP/1.1\r\nHost: ", b"a", 16 + 201),
    (431, b"GET / HTTP/1.1\r\n", b"a:\r\n", 16 + 44),
    (431, b"GET / HTTP/1.1\r\n", b"a:" + b"b" * 100 + b"\r\n", 16 + 1040),
    (400, b"", b"\r", 2),
    (414, b"G", b"\r", 102),
    (431, b"GET / HTTP/1.1\r\n", b"\r", 16 + 202),
    (431, b"GET / HTTP/1.1\r\nHost: ", b"\r", 16 + 202),
    (413, CHUNKED, b"1\r\nx\r\n", len(CHUNKED) + 3006),
    (400, CHUNKED, b"0", len(CHUNKED) + 1025),
    (400, CHUNKED + b"1;a=", b"a", len(CHUNKED) + 1025),
    (400, CHUNKED, b"1;" + b"a" * 99 + b"\r\nx\r\n", len(CHUNKED) + 18000),
    (400, CHUNKED, b"\r", len(CHUNKED) + 1026),
    (400, CHUNKED + b"1", b"\r", len(CHUNKED) + 1026),
    (400, CHUNKED + b"0\r\n", b"\r", len(CHUNKED) + 3 + 202),
    (400, CHUNKED + b"0\r\na:", b"\r", len(CHUNKED) + 3 + 202),
    (400, CHUNKED + b"0\r\n", b"a", len(CHUNKED) + 3 + 201),
    (400, CHUNKED + b"0\r\n", b"a:\r\n", len(CHUNKED) + 3 + 44),
    (400, CHUNKED + b"0\r\n", b"a:" + b"b" * 100 + b"\r\n", len(CHUNKED) + 3 + 1040),
]


@pytest.mark.parametrize("many", [1, 1000])
@pytest.mark.parametrize(("status", "start", "piece", "most"), ENDLESS)
def test_nothing_is_endless(
    kind: type[RequestParser], status: int, start: bytes, piece: bytes, most: int, many: int
) -> None:
    """What has no end is refused as soon as its limit is passed."""
    outcome = read(endless(start, piece * many), kind=kind, **SMALL)
    assert outcome.status == status
    assert outcome.complete == []
    if kind is H11Parser and start.startswith(CHUNKED) and status == 400:
        most = len(start) + EXTENSIONS + SMALL["head"] + 5000  # one limit for all but the data
    if many == 1:
        assert outcome.fed <= most


UNFINISHED = {
    "request line": b"GET /",
    "field": b"GET / HTTP/1.1\r\nHost: ",
    "trailer": CHUNKED + b"0\r\na: ",
}


@pytest.mark.parametrize("start", UNFINISHED.values(), ids=UNFINISHED)
def test_a_line_without_limit_costs_its_length(kind: type[RequestParser], start: bytes) -> None:
    """Four times the pieces take four times the time; joined anew each time, it is sixteen."""

    def seconds(count: int) -> float:
        limits = SizeLimits(line=UNLIMITED, field=UNLIMITED, head=UNLIMITED)
        parser = new_parser(Outcome(), limits, kind)
        parser.feed(start)
        begin = time.process_time()
        for _ in range(count):
            parser.feed(b"a" * 64)
        return time.process_time() - begin

    assert min(seconds(40_000) / seconds(10_000) for _ in range(3)) < 9


def test_limits_are_the_last_size_that_is_served(kind: type[RequestParser]) -> None:
    def status(raw: bytes) -> int | None:
        return read_everyhow(raw, kind, **SMALL).status

    head = b"GET /%b HTTP/1.1\r\nHost: a\r\nA: %b\r\n%b\r\n"
    line, field, fields = 100 - len(b"GET / HTTP/1.1"), 200 - len(b"A: "), b"B: x\r\n"
    good = head % (b"x" * line, b"y" * field, fields * 8)
    assert status(good) is None
    assert status(head % (b"x" * (line + 1), b"", b"")) == 414
    assert status(head % (b"", b"y" * (field + 1), b"")) == 431
    assert status(head % (b"", b"", fields * 9)) == 431
    rest = b"C: " + b"z" * (1000 - len(b"Host: a\r\nA: \r\n") - 5 * 190 - 3)
    long = b"C: " + b"z" * 185 + b"\r\n"
    assert status(head % (b"", b"", long * 5 + rest + b"\r\n")) is None
    assert status(head % (b"", b"", long * 5 + rest + b"z\r\n")) == 431


def test_a_body_is_refused_by_its_announcement(kind: type[RequestParser]) -> None:
    line = b"POST / HTTP/1.1"
    exact = get(b"Content-Length: 500\r\n", line) + b"x" * 500
    assert read_everyhow(exact, kind, **SMALL).complete[0].body == b"x" * 500
    announced = read_everyhow(get(b"Content-Length: 501\r\n", line), kind, **SMALL)
    assert (announced.status, announced.requests) == (413, [])
    chunks = CHUNKED + b"1f4\r\n" + b"x" * 500 + b"\r\n"
    assert read_everyhow(chunks + b"0\r\n\r\n", kind, **SMALL).complete[0].body == b"x" * 500
    assert read_everyhow(chunks + b"1\r\nx", kind, **SMALL).status == 413
    assert read_everyhow(chunks + b"1\r\n", **SMALL).status == 413


def test_zero_in_the_configuration_is_no_limit(kind: type[RequestParser]) -> None:
    limits = SizeLimits.from_config(Config(limit_request_body=0, limit_request_line=0))
    outcome = Outcome()
    parser = new_parser(outcome, limits, kind)
    parser.feed(get(b"Content-Length: 99999999999999\r\n", b"GET /" + b"a" * 9000 + b" HTTP/1.1"))
    assert outcome.requests[0].head.block.content_length == 99999999999999
