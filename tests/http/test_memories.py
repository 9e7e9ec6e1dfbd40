"""What is remembered changes nothing: a request means the same fresh, warm and after any other.

The table of memories in docs/design.md names the key and the value of each that is exercised here.
"""

import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from pyfork.http.asgi.scope import ScopeBuilder
from pyfork.http.proxy_headers import TrustedProxies
from pyfork.http.request.head import RequestHead
from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.limits import SizeLimits
from pyfork.http.request.parser import Parser
from pyfork.http.wsgi.environ import EnvironBuilder, variable
from pyfork.log.access_format import compile_format
from tests.http.corpus import HANDSHAKE, REFUSED, SERVED, get
from tests.http.reading import Outcome, drive, parts, pieces

MORE = [
    HANDSHAKE,
    get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"POST / HTTP/1.1"),
    get(b"Content-Length: 5\r\n", b"POST / HTTP/1.1") + b"hello",
    get(b"Content-Length: 5\r\n", b"POST / HTTP/1.1") + b"other",
    get(b"X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-Proto: https\r\n"),
    get(b"Forwarded: for=10.2.2.2\r\n"),
    get(b"SCRIPT_NAME: /shop\r\n", b"GET /shop/a HTTP/1.1"),
    get(b"SCRIPT_NAME: /root\r\n", b"GET /shop/a HTTP/1.1"),
    get(b"Cookie: a=b\r\nCookie: c=d\r\nAuthorization: Basic YTpi\r\n"),
]
CORPUS = list(dict.fromkeys([raw for _, _, raw in REFUSED] + [case[1] for case in SERVED] + MORE))
LINES = [
    b"GET / HTTP/1.1",
    b"POST / HTTP/1.1",
    b"HEAD / HTTP/1.1",
    b"GET /other?x HTTP/1.1",
    b"GET / HTTP/1.0",
    b"GET http://b/ HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
]
# Each request of the corpus behind each of the request lines.
FAMILIES = [
    list(dict.fromkeys([raw, *(line + b"\r\n" + fields for line in LINES)]))
    for raw in CORPUS
    if (fields := raw.partition(b"\r\n")[2]) and re.match(rb"[A-Z]", raw)
]

FORMAT = compile_format("%(h)s %(m)s %(U)s %(q)s %(r)s %(H)s %({host}i)s %({a}i)s %(u)s")


@dataclass
class Told(Outcome):
    """What a connection's gateways and log make of each head, at the moment it comes."""

    worker: "Worker | None" = None
    link: Any = None
    made: list[object] = field(default_factory=list)

    def head_received(self, head: RequestHead, *, whole: bool, content: bytes = b"") -> None:
        super().head_received(head, whole=whole, content=content)
        assert self.worker is not None
        self.made.append(self.worker.make(self.link, head))


class Worker:
    """All that lives as long as a worker and is filled by requests."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self.reader = HeadReader(SizeLimits(), variable if gateway == "wsgi" else None)
        self._environs = EnvironBuilder(multithread=False, multiprocess=False, root_path="/root")
        self._scopes = ScopeBuilder(root_path="/root", state={})
        self._proxies = TrustedProxies("*")

    def connect(self) -> "Client":
        """A new connection."""
        outcome = Told(worker=self)
        outcome.link = SimpleNamespace(
            gateway_cache=None,
            scheme="http",
            sockname=("127.0.0.1", 80),
            peer_host="10.0.0.1",
            peer_port=5,
            trusted=self._proxies.trust("10.0.0.1"),
            engine=SimpleNamespace(proxies=self._proxies),
        )
        return Client(Parser(self.reader, outcome), outcome)

    def make(self, link: Any, head: RequestHead) -> object:
        """What the application and the log are given; what is made is spoiled behind it."""
        made: Any
        if self._gateway == "wsgi":
            made = self._environs.make(link, head, None, head.block.content_length or 0)  # type: ignore[arg-type]
        else:
            made = self._scopes.make(link, head)
        found = {key: str(value) for key, value in made.items() if key != "wsgi.errors"}
        made.clear()
        logged = SimpleNamespace(
            head=head,
            line=head.line,
            block=head.block,
            client=link.peer_host,
            method=head.method,
            target=head.line.target.decode("latin-1"),
            version=head.line.version,
            scheme="http",
            request_headers=head.block.fields,
            environ=None,
        )
        return found, FORMAT(logged)  # type: ignore[arg-type]


@dataclass
class Client:
    """One connection of a worker."""

    parser: Parser
    outcome: Told

    def ask(self, raw: bytes, size: int) -> object:
        """What ``raw`` leads to in pieces of ``size`` bytes, behind what was asked before."""
        outcome = self.outcome
        before = len(outcome.requests)
        drive(self.parser, outcome, pieces(raw, size))
        line = self.parser.line
        return (
            [parts(request.head) for request in outcome.requests[before:]],
            [request.body for request in outcome.requests[before:] if request.whole],
            outcome.made[before:],
            outcome.status,
            outcome.rest,
            outcome.status and line and (line.method, line.target, line.version),
        )

    def status(self, raw: bytes) -> int | None:
        """Of the refusal of ``raw``."""
        self.ask(raw, 0)
        return self.outcome.status

    @property
    def usable(self) -> bool:
        """Whether a next request may follow."""
        requests = self.outcome.requests
        return (
            self.outcome.status is None
            and not (requests and not requests[-1].whole)
            and not (requests and not requests[-1].head.block.keep_alive)
            and not (requests and requests[-1].head.handshake)
            and self.parser.line is None
        )


def thirds(raw: bytes) -> int:
    """The size of pieces that cuts it twice."""
    return len(raw) // 3 + 1


def check(
    first: bytes, second: bytes, fresh: dict[bytes, object], worker: Worker, whole: bool = True
) -> None:
    """``second`` after ``first``: on its connection, or on the next one of the same worker.

    In pieces, and ``whole``.
    """
    for size in (0, thirds(second)) if whole else (thirds(second),):
        client = worker.connect()
        assert client.ask(first, 0) == fresh[first], (first, second, size)
        if not client.usable:
            client = worker.connect()
        assert client.ask(second, size) == fresh[second], (first, second, size)


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def gateway(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fresh(gateway: str) -> dict[bytes, object]:
    """What each request leads to at a worker that has read nothing before."""
    every = dict.fromkeys([*CORPUS, *(raw for family in FAMILIES for raw in family)])
    return {raw: Worker(gateway).connect().ask(raw, 0) for raw in every}


def test_after_each_other_request(gateway: str, fresh: dict[bytes, object]) -> None:
    """All ordered pairs, at a worker that is new and at one that has read all others."""
    warm = Worker(gateway)
    served = {raw for raw in CORPUS if Worker(gateway).connect().status(raw) is None}
    for first in CORPUS if gateway == "wsgi" else served:  # what is refused reaches no gateway
        for second in CORPUS if gateway == "wsgi" else served:
            check(first, second, fresh, warm, whole=first in served)
            if first in served and second in served:
                check(first, second, fresh, Worker(gateway))


def test_the_same_fields_behind_another_line(gateway: str, fresh: dict[bytes, object]) -> None:
    """As POST with Upgrade: websocket, and then GET, which is a handshake."""
    warm = Worker(gateway)
    for family in FAMILIES:
        for first in family:
            for second in family:
                check(first, second, fresh, warm)


@pytest.mark.parametrize("size", [0, 1, 7])
def test_warm(gateway: str, fresh: dict[bytes, object], size: int) -> None:
    """Over and over, by a worker that has read all of the corpus."""
    worker = Worker(gateway)
    for _ in range(3):
        for raw in CORPUS:
            client = worker.connect()
            while client.usable:
                assert client.ask(raw, size) == fresh[raw]
                if len(client.outcome.requests) > 3:
                    break
