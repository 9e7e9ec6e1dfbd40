"""The routes as a bare WSGI application."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

Environ = dict[str, Any]
Answer = tuple[str, Iterable[bytes]]


def app(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
    """The application."""
    route = ROUTES.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]), missing)
    status, body = route(environ)
    headers = [("Content-Type", "text/plain"), ("X-Pid", str(os.getpid()))]
    if isinstance(body, list):
        headers.append(("Content-Length", str(sum(map(len, body)))))
    start_response(status, headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else body


def hello(environ: Environ) -> Answer:
    return "200 OK", [b"hello from wsgi"]


def form(environ: Environ) -> Answer:
    length = int(environ["CONTENT_LENGTH"])
    fields = parse_qs(environ["wsgi.input"].read(length).decode())
    return "200 OK", [fields["name"][0].encode()]


def upload(environ: Environ) -> Answer:
    digest, length = hashlib.sha256(), 0
    while chunk := environ["wsgi.input"].read(65536):
        digest.update(chunk)
        length += len(chunk)
    return "200 OK", [json.dumps({"sha256": digest.hexdigest(), "length": length}).encode()]


def stream(environ: Environ) -> Answer:
    return "200 OK", chunks(int(query(environ, "n")))


def chunks(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield b"chunk %d\n" % number


def slow(environ: Environ) -> Answer:
    time.sleep(float(query(environ, "s")))
    return "200 OK", [b"slept"]


def boom(environ: Environ) -> Answer:
    raise RuntimeError("boom")


def missing(environ: Environ) -> Answer:
    return "404 Not Found", [b"not found"]


def query(environ: Environ, name: str) -> str:
    return parse_qs(environ["QUERY_STRING"])[name][0]


ROUTES = {
    ("GET", "/"): hello,
    ("HEAD", "/"): hello,
    ("POST", "/form"): form,
    ("POST", "/upload"): upload,
    ("GET", "/stream"): stream,
    ("GET", "/slow"): slow,
    ("GET", "/boom"): boom,
}
