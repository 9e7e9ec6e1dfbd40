"""What the log tells of a request that was refused: method and target, where they were read."""

from pathlib import Path

import pytest

from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.limits import SizeLimits
from pyfork.http.request.parsing import RequestParser
from tests.harness.client import Wire
from tests.harness.server import Server
from tests.http.corpus import CHUNKED, FIRST, get
from tests.http.reading import SIZES, Outcome, drive, pieces

SEEN: list[tuple[bytes, tuple[str, bytes] | None]] = [
    (b"GET /x HTTP/1.1\r\n\r\n", ("GET", b"/x")),
    (b"POST /x?y HTTP/1.1\r\nHost: a b\r\n\r\n", ("POST", b"/x?y")),
    (b"GET /x HTTP/1.1\r\nHost: a\r\nName : b\r\n\r\n", ("GET", b"/x")),
    (b"GET http://b/x HTTP/1.1\r\n\r\n", ("GET", b"http://b/x")),
    (b"HEAD /x HTTP/2.0\r\n\r\n", ("HEAD", b"/x")),
    (b"TEA /pot HTTP/1.1\r\n\r\n", ("TEA", b"/pot")),
    (b"GET /x y HTTP/1.1\r\n\r\n", ("GET", b"/x")),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", ("GET", b"/" + b"x" * 8185)),
    (get(b"A: " + b"x" * 9000 + b"\r\n"), ("GET", b"/")),
    (get(b"Content-Length: 9999999999999\r\n", b"POST /x HTTP/1.1"), ("POST", b"/x")),
    (CHUNKED.replace(b"/", b"/x", 1) + b"oops\r\n", ("POST", b"/x")),
    (CHUNKED.replace(b"/", b"/x", 1) + b"0\r\noops\r\n\r\n", ("POST", b"/x")),
    (b"GET\r\n\r\n", None),
    (b"\x16\x03\x01\x02\0", None),
    (b" GET / HTTP/1.1\r\n", None),
]


@pytest.mark.parametrize(("raw", "expected"), SEEN, ids=[repr(raw[:40]) for raw, _ in SEEN])
def test_what_was_read_is_told(
    kind: type[RequestParser], raw: bytes, expected: tuple[str, bytes] | None
) -> None:
    reader = HeadReader(SizeLimits())
    for size in SIZES * 2:
        outcome = Outcome()
        parser = kind(reader, outcome)
        drive(parser, outcome, pieces(FIRST + raw, size))
        assert outcome.status is not None
        line = parser.line
        assert (line and (line.method, line.target)) == expected


def test_the_line_of_what_arrives(kind: type[RequestParser]) -> None:
    """As far as it is there: a client that stops in the middle is told of, too."""
    parser = kind(HeadReader(SizeLimits()), Outcome())
    steps: list[tuple[bytes, tuple[str, bytes] | None]] = [
        (b"\r\n", None),
        (b"PO", None),
        (b"ST /x", ("POST", b"/x")),
        (b"y HTTP/1.1\r\nHost: a\r\n", ("POST", b"/xy")),
        (b"Content-Length: 2\r\n\r\n", ("POST", b"/xy")),
        (b"a", ("POST", b"/xy")),
        (b"b", None),
    ]
    for data, expected in steps:
        parser.feed(data)
        assert (parser.line and (parser.line.method, parser.line.target)) == expected, data


def test_the_access_log_has_it(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    options = ("--access-logfile", str(log), "--access-logformat", "%(r)s %(s)s %(B)s")
    expected = [
        ("GET /x HTTP/1.1 400", b"GET /x HTTP/1.1\r\n\r\n"),
        ("HEAD /x HTTP/1.1 400 0", b"HEAD /x HTTP/1.1\r\n\r\n"),
        ("POST /x HTTP/1.1 400", CHUNKED.replace(b"/", b"/x", 1) + b"oops\r\n"),
        ("- - HTTP/1.1 400", b"\0\r\n\r\n"),
    ]
    with Server("tests.apps.plain:wsgi", *options, directory=tmp_path) as server:
        for _, raw in expected:
            with Wire(server.port) as wire:
                wire.send(raw)
                wire.stream.read()
        server.until(lambda: len(log.read_text().splitlines()) == len(expected), "all are logged")
        for line, (start, _) in zip(log.read_text().splitlines(), expected, strict=True):
            assert line.startswith(start)
