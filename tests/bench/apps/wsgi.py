"""WSGI applications, one for each case."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.bench.content import (
    BIG,
    CHUNK,
    CHUNKS,
    FIELDS,
    HELD,
    HELD_SECONDS,
    HELLO,
    JSON,
    file_path,
)

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], object]


def _headers(kind: str, length: int) -> list[tuple[str, str]]:
    return [("Content-Type", kind), ("Content-Length", str(length))]


def hello(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", _headers("text/plain", len(HELLO)))
    return [HELLO]


def pid(environ: Environ, start_response: Start) -> Iterable[bytes]:
    body = b"%d" % os.getpid()
    start_response("200 OK", _headers("text/plain", len(body)))
    return [body]


def as_json(environ: Environ, start_response: Start) -> Iterable[bytes]:
    body = json.dumps(JSON).encode()
    start_response("200 OK", _headers("application/json", len(body)))
    return [body]


def big(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [*_headers("text/html", len(BIG)), *FIELDS])
    return [BIG]


def echo(environ: Environ, start_response: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", _headers("application/octet-stream", len(body)))
    return [body]


def upload(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Reads in pieces, as those do who write to a disk; answers with the length."""
    length, left = 0, int(environ["CONTENT_LENGTH"])
    while left and (piece := environ["wsgi.input"].read(min(left, 65536))):
        length += len(piece)
        left -= len(piece)
    body = b"%d" % length
    start_response("200 OK", _headers("text/plain", len(body)))
    return [body]


def file(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """By ``wsgi.file_wrapper``, or in pieces where there is none (PEP 3333 leaves it free)."""
    path = file_path()
    start_response("200 OK", _headers("application/octet-stream", path.stat().st_size))
    stream = path.open("rb")
    if "wsgi.file_wrapper" in environ:
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](stream, 65536)
        return wrapped
    return iter(lambda: stream.read(65536), b"")


def stream(environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return _chunks(held=environ["PATH_INFO"] == HELD)


def _chunks(*, held: bool) -> Iterator[bytes]:
    yield CHUNK
    if held:
        time.sleep(HELD_SECONDS)
    for _ in range(CHUNKS - 1):
        yield CHUNK
