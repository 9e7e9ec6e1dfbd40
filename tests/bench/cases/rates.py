"""Cases in which wrk asks one question over and over: requests a second, and the slowest ones."""

import json
from collections.abc import Callable, Collection
from dataclasses import replace

from tests.bench import clients
from tests.bench.cases.case import LOST, P99, RATE, THROUGHPUT, Bench, Case, check, of_interface
from tests.bench.content import (
    BIG,
    BROWSER,
    CHUNK,
    CHUNKS,
    HELD,
    HELLO,
    JSON,
    UPLOAD,
    VARIED,
    VARYING,
)
from tests.bench.load import Ask, wrk
from tests.bench.peers import MAIN, Peer

BARE = Ask(expect=HELLO)
BROWSED = Ask(fields=BROWSER, expect=HELLO)
ELSEWHERE = Ask(path=VARIED, fields=VARYING, expect=HELLO)
FRESH = Ask(fields={"Connection": "close"}, expect=HELLO)
POSTED = Ask("POST", body=BIG, expect=BIG)
UPLOADED = Ask("POST", body=UPLOAD, expect=b"%d" % len(UPLOAD))

STREAMED = Ask(expect=CHUNK * CHUNKS)

FIGURES = (RATE, P99, LOST)
FRAMED = {*MAIN, "pyfork-thread", "gunicorn-sync"} - {"bjoern"}  # one worker is all it has

Measure = Callable[[Bench, Peer], Collection[float]]


def asking(app: str, ask: Ask, *, workers: int = 1, log: bool = False) -> Measure:
    """``app`` is a name among ours, or module:attribute."""

    def measure(bench: Bench, peer: Peer) -> Collection[float]:
        spec = app if ":" in app else of_interface(peer, app)
        with bench.serve(peer, spec, workers=workers, log=log) as server:
            check(server.port, ask)
            outcome = wrk(server.port, ask, connections=bench.connections, seconds=bench.seconds)
            return outcome.rate, outcome.p99, outcome.lost

    return measure


def streaming(bench: Bench, peer: Peer) -> Collection[float]:
    """Of those only that send a piece before there is the next."""
    with bench.serve(peer, of_interface(peer, "stream")) as server:
        check(server.port, STREAMED)
        clients.check_streams(server.port, HELD, len(CHUNK) * CHUNKS)
        outcome = wrk(server.port, STREAMED, connections=bench.connections, seconds=bench.seconds)
        return outcome.rate, outcome.p99, outcome.lost


def uploading(bench: Bench, peer: Peer) -> Collection[float]:
    """In eight connections: what is measured are bytes."""
    with bench.serve(peer, of_interface(peer, "upload")) as server:
        check(server.port, UPLOADED)
        outcome = wrk(server.port, UPLOADED, connections=8, seconds=bench.seconds)
        return outcome.rate * len(UPLOAD) / (1 << 20), outcome.lost


def _framework(name: str, title: str, interface: str, app: str) -> Case:
    ask = replace(BROWSED, expect=f"hello from {name}".encode())
    measure = asking(f"tests.apps.{app}", ask, workers=4)
    return Case(name, f"{title}, 4 workers", FIGURES, measure, interface, ("workers",), FRAMED)


CASES = (
    Case("varied", "GET that was never seen before", FIGURES, asking("hello", ELSEWHERE), peers=()),
    Case("bare", "bare GET", FIGURES, asking("hello", BARE), peers=()),
    Case("browser", "GET with a browser's 12 fields", FIGURES, asking("hello", BROWSED), peers=()),
    Case(
        "json",
        "JSON",
        FIGURES,
        asking("as_json", Ask(fields=BROWSER, expect=json.dumps(JSON).encode())),
    ),
    Case("response", "10 KiB response", FIGURES, asking("big", Ask(expect=BIG))),
    Case("post", "10 KiB POST, echoed", FIGURES, asking("echo", POSTED)),
    Case("upload", "1 MiB upload", (THROUGHPUT, LOST), uploading),
    Case("stream", f"stream of {CHUNKS} chunks", FIGURES, streaming),
    Case("fresh", "a new connection for each request", FIGURES, asking("hello", FRESH)),
    Case(
        "log",
        "bare GET, access log on",
        FIGURES,
        asking("hello", BARE, log=True),
        needs=("log",),
    ),
    _framework("flask", "Flask", "wsgi", "flask_app:app"),
    _framework("django", "Django", "wsgi", "django_wsgi:application"),
    _framework("fastapi", "FastAPI", "asgi", "fastapi_app:app"),
)
