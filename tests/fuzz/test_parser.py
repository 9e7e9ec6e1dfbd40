"""Both parsers against mutated streams, and h11 and llhttp as witnesses of ours.

Invariants, whatever comes. However the bytes are cut, and whatever was read before on the
connection or by the worker, a stream leads to the same requests, the same refusal and the same
line of the log. What our parser serves, each witness reads alike or refuses; what both refuse is
one of `ACCEPTED`.

    pytest -m soak tests/fuzz/test_parser.py    # SOAK_SECONDS of each test, 60 without
    SOAK_SEED=... pytest tests/fuzz/test_parser.py

Seeds are printed. `tests.fuzz.atheris_parser` is led by coverage, where atheris installs.
"""

import os
import re
import time
from collections.abc import Iterator
from random import Random

import pytest

from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.limits import SizeLimits
from pyfork.http.request.parsing import ParserState, RequestParser
from tests.fuzz.mutations import pieces, stream
from tests.fuzz.witnesses import WITNESSES, Reading, Seen, comparable, plain, tamed
from tests.http.reading import PARSERS, Outcome, Request, drive

STREAMS = 1500  # of each test that is no soak
SEED = "pyfork"
LIMITS = SizeLimits(line=8190, field=2000, fields=20, head=8000, body=100_000)

# What our parser serves and both witnesses refuse, and why that is right.
ACCEPTED = {
    "a field in a trailer": re.compile(
        # RFC 9110 6.5.1: it is not merged with the fields of the head and means nothing to us;
        # the witnesses look at the lengths and codings that it names.
        rb"\r\n0+(?:;[^\n]*)?\r\n(?:[^\n]+\r\n)*?(?:content-length|transfer-encoding)[ \t]*:",
        re.IGNORECASE,
    ),
    "whitespace before a chunk extension": re.compile(
        # RFC 9112 7.1.1: BWS, which a recipient has to remove.
        rb"\r\n[0-9a-f]+[ \t]+;",
        re.IGNORECASE,
    ),
}

# Streams at which the witnesses and the test itself once disagreed.
FOUND = (
    # A body that ends within the word that is tamed.
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n"
    b"\r\n\r\nhelloGET / HTTP/1.1\r\nHOST: a\r\nConnection: Upgrade\r\n\r\n",
    # Whitespace that both witnesses refuse.
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"00A ;a;b=c\r\n, world...\r\n0\r\n\r\n",
)


def streams(test: str, soak: bool) -> Iterator[tuple[bytes, Random]]:
    """Mutated streams, and what goes on to be random with each."""
    seconds = float(os.environ.get("SOAK_SECONDS", "60")) if soak else 0.0
    seed = os.environ.get("SOAK_SEED") or (os.urandom(4).hex() if soak else SEED)
    print(f"SOAK_SEED={seed}")
    end = time.monotonic() + seconds
    number = 0
    while number < STREAMS or time.monotonic() < end:
        number += 1
        random = Random(f"{seed} {test} {number}")
        yield stream(random), random
    print(f"{number} streams")


def summary(parser: RequestParser, outcome: Outcome, first: int = 0) -> object:
    """All that must be the same, of the requests from the ``first`` on."""
    line = parser.line if outcome.status is not None else None
    return *outcome.summary(first), line and (line.method, line.target, line.version)


def read(kind: type[RequestParser], raw: list[bytes], reader: HeadReader) -> object:
    """What a new connection makes of the pieces of a stream."""
    outcome = Outcome()
    parser = kind(reader, outcome)
    drive(parser, outcome, iter(raw))
    return summary(parser, outcome)


def same(kind: type[RequestParser], raw: bytes, random: Random, warm: HeadReader) -> None:
    """One stream, cut and remembered in every way."""
    expected = read(kind, [raw], HeadReader(LIMITS))
    assert read(kind, [raw[at : at + 1] for at in range(len(raw))], HeadReader(LIMITS)) == expected
    assert read(kind, pieces(raw, random), HeadReader(LIMITS)) == expected
    assert read(kind, [raw], warm) == expected
    assert read(kind, pieces(raw, random), warm) == expected
    assert read(kind, [raw], warm) == expected  # by what it left in the memories itself
    again(kind, raw, warm)


def again(kind: type[RequestParser], raw: bytes, warm: HeadReader) -> None:
    """A connection on which the stream comes twice, if it may go on behind the first time."""
    fresh = Outcome()
    parser = kind(HeadReader(LIMITS), fresh)
    drive(parser, fresh, iter([raw]))
    expected = summary(parser, fresh)
    if not may_go_on(parser, fresh):
        return
    outcome = Outcome()
    parser = kind(warm, outcome)
    for _ in range(3):
        first = len(outcome.requests)
        drive(parser, outcome, iter([raw]))
        assert summary(parser, outcome, first) == expected


def may_go_on(parser: RequestParser, outcome: Outcome) -> bool:
    """Whether the connection waits for a next request, and nothing of one is there."""
    last = outcome.requests[-1] if outcome.requests else None
    return (
        last is not None
        and last.whole
        and outcome.status is None
        and last.head.block.keep_alive
        and not last.head.handshake
        and parser.state is ParserState.IDLE
        and parser._partial is None  # or an empty line has come
    )


def judge(raw: bytes) -> None:
    """What is served, the witnesses read alike or refuse."""
    outcome = Outcome()
    drive(PARSERS["auto"](HeadReader(LIMITS), outcome), outcome, iter([raw]))
    if not outcome.complete:
        return
    readings = {name: witness(raw) for name, witness in WITNESSES.items()}
    for number, request in enumerate(outcome.complete):
        refused = [
            reading.refusal
            for name, reading in readings.items()
            if not agrees(name, reading, number, request)
        ]
        if len(refused) == len(WITNESSES):
            assert any(each.search(raw) for each in ACCEPTED.values()), (raw, number, refused)
            return


def agrees(name: str, reading: Reading, number: int, request: Request) -> bool:
    """Whether a witness has read that request, alike; False if it refuses it."""
    if number >= len(reading.requests):
        assert reading.refusal, (name, number, "it waits for more")
        return False
    line, seen = request.head.line, reading.requests[number]
    fields = seen.fields if line.authority else plain(request.head.block.fields)  # RFC 9112 3.2.2
    body = comparable(request.body)
    assert seen == Seen(line.method.encode(), tamed(line.target), fields, body), (name, number)
    return True


@pytest.fixture(params=[False, pytest.param(True, marks=[pytest.mark.soak])], ids=["", "soak"])
def soak(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", PARSERS)
def test_one_outcome(kind: str, soak: bool) -> None:
    warm = HeadReader(LIMITS)
    for raw, random in streams(f"outcome {kind}", soak):
        try:
            same(PARSERS[kind], raw, random, warm)
        except BaseException:
            print(f"the stream is {raw!r}")
            raise


@pytest.mark.timeout(0)
def test_witnesses_read_alike_what_is_served(soak: bool) -> None:
    for raw, _ in streams("witnesses", soak):
        try:
            judge(raw)
        except BaseException:
            print(f"the stream is {raw!r}")
            raise


@pytest.mark.parametrize("raw", FOUND)
def test_witnesses_read_alike_what_was_found(raw: bytes) -> None:
    judge(raw)
