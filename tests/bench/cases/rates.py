"""Cases in which wrk asks one question over and over: requests a second, and the slowest ones."""

import json
from collections.abc import Callable, Collection
from dataclasses import replace

from tests.bench.cases.case import P99, RATE, THROUGHPUT, Bench, Case, check, of_interface
from tests.bench.content import BIG, BROWSER, CHUNK, CHUNKS, HELLO, JSON, UPLOAD, VARIED, VARYING
from tests.bench.load import Ask, wrk
from tests.bench.peers import Peer

BARE = Ask(expect=HELLO)
BROWSED = Ask(fields=BROWSER, expect=HELLO)
ELSEWHERE = Ask(path=VARIED, fields=VARYING, expect=HELLO)
FRESH = Ask(fields={"Connection": "close"}, expect=HELLO)
POSTED = Ask("POST", body=BIG, expect=BIG)
UPLOADED = Ask("POST", body=UPLOAD, expect=b"%d" % len(UPLOAD))

Measure = Callable[[Bench, Peer], Collection[float]]


def asking(app: str, ask: Ask, *, workers: int = 1, log: bool = False) -> Measure:
    """``app`` is a name among ours, or module:attribute."""

    def measure(bench: Bench, peer: Peer) -> Collection[float]:
        spec = app if ":" in app else of_interface(peer, app)
        with bench.serve(peer, spec, workers=workers, log=log) as server:
            check(server.port, ask)
            outcome = wrk(server.port, ask, connections=bench.connections, seconds=bench.seconds)
            return outcome.rate, outcome.p99

    return measure


def uploading(bench: Bench, peer: Peer) -> Collection[float]:
    """In eight connections: what is measured are bytes."""
    with bench.serve(peer, of_interface(peer, "upload")) as server:
        check(server.port, UPLOADED)
        outcome = wrk(server.port, UPLOADED, connections=8, seconds=bench.seconds)
        return (outcome.rate * len(UPLOAD) / (1 << 20),)


def _framework(name: str, title: str, interface: str, app: str) -> Case:
    ask = replace(BROWSED, expect=f"hello from {name}".encode())
    measure = asking(f"tests.apps.{app}", ask, workers=4)
    return Case(name, f"{title}, 4 workers", (RATE, P99), measure, interface, "workers")


CASES = (
    Case("bare", "bare GET", (RATE, P99), asking("hello", BARE)),
    Case("browser", "GET with a browser's 12 headers", (RATE, P99), asking("hello", BROWSED)),
    Case("varied", "the same, another path each time", (RATE, P99), asking("hello", ELSEWHERE)),
    Case(
        "json",
        "JSON",
        (RATE, P99),
        asking("as_json", Ask(fields=BROWSER, expect=json.dumps(JSON).encode())),
    ),
    Case("response", "10 KiB response", (RATE, P99), asking("big", Ask(expect=BIG))),
    Case("post", "10 KiB POST, echoed", (RATE, P99), asking("echo", POSTED)),
    Case("upload", "1 MiB upload", (THROUGHPUT,), uploading),
    Case(
        "stream",
        f"stream of {CHUNKS} chunks",
        (RATE, P99),
        asking("stream", Ask(expect=CHUNK * CHUNKS)),
    ),
    Case("fresh", "a new connection for each request", (RATE, P99), asking("hello", FRESH)),
    Case(
        "log",
        "bare GET, access log on",
        (RATE, P99),
        asking("hello", BARE, log=True),
        needs="log",
    ),
    _framework("flask", "Flask", "wsgi", "flask_app:app"),
    _framework("django", "Django", "wsgi", "django_wsgi:application"),
    _framework("fastapi", "FastAPI", "asgi", "fastapi_app:app"),
)
