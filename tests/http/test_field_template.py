"""A head that is compared with an earlier one of its connection means what it means alone."""

import os
import random
import time

import pytest

from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.limits import SizeLimits
from pyfork.http.request.parser import Parser
from tests.bench.content import VARIED, VARYING
from tests.http.corpus import get
from tests.http.reading import Outcome
from tests.http.test_memories import Worker

LINES = [b"Host: a", *(f"{name}: {value}".encode() for name, value in VARYING.items())]
VALUES = [
    b"",
    b" ",
    b"x",
    b" \t x \t",
    b" a\x00b",
    b" a\rb",
    b" a\nb",
    b" a\r\n b",
    b" a\r\nb",
    b" a\r\nX: y",
    b" a\r\nHost: b",
    b" a\r\n\r\nGET / HTTP/1.1\r\nHost: b",
    b" \x7f",
    b" \x1f",
    b" \xe9\xff",
    b" a: b",
    b" " + b"y" * 300,
    b" " + b"y" * 9000,
]
TARGETS = ["/", "/a?b", "/a%20b", "/#", "*", "http://b/", "/a b", "/\x7f", "/é", "a", "/a??b#"]
METHODS = ["GET", "POST", "HEAD", "OPTIONS", "get", "CONNECT", "BREW", ""]
VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", ""]


def joined(lines: list[bytes], target: str = "/", method: str = "GET", version: str = "") -> bytes:
    start = f"{method} {target} {version or 'HTTP/1.1'}".encode("latin-1")
    return b"\r\n".join([start, *lines, b"", b""])


def changed(chance: random.Random, lines: list[bytes]) -> bytes:
    """A head that is like that of ``lines`` in some way; most often it differs in values."""
    lines = lines.copy()
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(lines))
        name, _, value = lines[at].partition(b":")
        match chance.randrange(12):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, chance.choice(lines))
            case 2:
                lines[at] = name.swapcase() + b":" + value
            case 3:
                lines[at] = name + chance.choice([b"", b" :", b"\t:", b"::"]) + value
            case 4:
                other = chance.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 5:
                fields = [b"Content-Length: 0", b"Connection: close", b"Transfer-Encoding: chunked"]
                lines.insert(at, chance.choice([*fields, b"X-Forwarded-For: 9.9.9.9", b"X_Y: z"]))
            case 6:
                flat = bytearray(lines[at])
                flat[chance.randrange(len(flat))] = chance.randrange(256)
                lines[at] = bytes(flat)
            case _:
                lines[at] = name + b":" + chance.choice([*VALUES, b" %d" % chance.randrange(99)])
        if not lines:
            break
    plain = chance.random() < 0.8
    return joined(
        lines,
        f"/{chance.randrange(99)}" if plain else chance.choice(TARGETS),
        "GET" if plain else chance.choice(METHODS),
        "" if plain else chance.choice(VERSIONS),
    )


def compare(chance: random.Random, gateway: str) -> None:
    """One connection's heads, each compared with what a fresh connection makes of it."""
    client = Worker(gateway).connect()
    lines = [*LINES, *chance.choices([b"Cookie: a", b"cookie: b", b"X_Y: z", LINES[3]], k=2)]
    chance.shuffle(lines)
    raw, tail = joined(lines), b""
    for _ in range(6):
        found = client.ask(raw, 0)
        assert found == Worker(gateway).connect().ask(raw, 0), raw
        if tail or not client.usable:
            break
        tail = chance.choice([b"", b"", b"", b"", b"\r\n", b"x", raw])
        raw = changed(chance, lines) + tail


@pytest.mark.parametrize("gateway", ["wsgi", "asgi"])
def test_any_change(gateway: str) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(1500):
        compare(chance, gateway)


@pytest.mark.soak
@pytest.mark.parametrize("gateway", ["wsgi", "asgi"])
def test_any_change_for_long(gateway: str) -> None:
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    end = time.monotonic() + float(os.environ.get("SOAK_SECONDS", "20"))
    while time.monotonic() < end:
        compare(chance, gateway)


def test_changed_values_are_taken_from_the_template() -> None:
    """Such heads are not split: else the tests above would compare a reading with itself."""
    outcome = Outcome()
    parser = Parser(HeadReader(SizeLimits()), outcome)
    for number in range(5):
        text = b"%06d" % number
        lines = [line.replace(b"{n}", text) for line in LINES]
        lines[6] += text
        head = parser.parse_whole_request(joined(lines, VARIED.replace("{n}", text.decode())))
        assert head is not None
        changed = [name for name, _ in head.block.changes]
        assert changed == ([b"referer", b"cookie"] if number else [])
        assert head.block.fields[5] == (b"referer", b"https://example.org/articles/" + text)


def test_a_limit_holds_for_what_is_like_an_earlier_head() -> None:
    limits = SizeLimits(line=40, field=80)
    for line, field in ((b"GET /%s HTTP/1.1" % (b"a" * 40), b"b"), (b"GET / HTTP/1.1", b"b" * 90)):
        parser = Parser(HeadReader(limits), Outcome())
        for number in range(3):
            head = get(b"A: %d\r\n" % number)
            assert parser.parse_whole_request(head) is not None
        assert parser.parse_whole_request(get(b"A: %b\r\n" % field, line)) is None
