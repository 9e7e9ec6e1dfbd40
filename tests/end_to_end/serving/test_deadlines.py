"""Timeouts of clients and applications, and limits at which a worker is replaced."""

import contextlib
import select
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.tls.authority import Authority
from tests.harness.client import Truncated, Wire, request
from tests.harness.server import Server, exchange
from tests.harness.threads import ThreadsOfBlock

WSGI, ASGI = "tests.apps.kinds:app", "tests.apps.asgi_kinds:app"
REQUEST_TIMEOUT = ("--request-timeout", "0.3")
SHORT = ("--header-timeout", "0.5", "--body-timeout", "0.5", "--keep-alive", "0.5")


class Clients(ThreadsOfBlock):
    """Some that ask for ``target`` again and again, on connections that they keep or do not."""

    def __init__(self, server: Server, target: str, *, kept: int, fresh: int) -> None:
        super().__init__()
        self.bodies: Counter[bytes] = Counter()  # of the answers
        self.lost: list[str] = []
        self._server = server
        self._target = target
        kinds = [True] * kept + [False] * fresh
        self.threads = [threading.Thread(target=self._ask, args=(each,)) for each in kinds]

    @property
    def count(self) -> int:
        """Answers so far."""
        return self.bodies.total()

    def _ask(self, kept: bool) -> None:
        connection: HTTPConnection = self._server.connect()
        while not self.over.is_set():
            try:
                answer = exchange(connection, "GET", self._target)
                if answer.status != 200:
                    self.lost.append(f"status {answer.status}")
                self.bodies[answer.body] += 1
            except (OSError, HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
            if not kept:
                connection.close()
        connection.close()


# Clients.

ONE = request("GET", "/")
LATE: dict[str, tuple[bytes, list[int]]] = {
    "nothing": (b"", []),
    "half a head": (b"GET / HTTP/1.1\r\nHos", [408]),
    "an idle connection": (ONE, [200]),
    "half a head behind a request": (ONE + b"GET", [200, 408]),
    "half a body": (request("POST", "/", "Content-Length: 9") + b"half", [408]),
    "half of the chunks": (request("POST", "/", "Transfer-Encoding: chunked") + b"5\r\n", [408]),
    "much of a body": (request("POST", "/", "Content-Length: 999999") + bytes(500_000), [408]),
}
# An ASGI application may have answered already: nothing more is said.
UNREAD = request("POST", "/?unread=1", "Content-Length: 9") + b"half"


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_late_clients_are_cut_and_slow_ones_are_not(tmp_path: Path, interface: str) -> None:
    """With both parsers, at the same time."""
    late = LATE | {"an unread body": (UNREAD, [200 if interface == "asgi" else 408])}
    with contextlib.ExitStack() as stack:
        wires: list[dict[str, Wire]] = []
        for parser in ("auto", "h11"):
            (directory := tmp_path / parser).mkdir()
            options = ("--http", parser, *SHORT)
            server = Server(f"tests.apps.plain:{interface}", *options, directory=directory)
            port = stack.enter_context(server).port
            wires.append({what: stack.enter_context(Wire(port)) for what in (*late, "slow")})
        for each in wires:
            for what, (data, _) in late.items():
                each[what].send(data)
            each["slow"].send(request("POST", "/", "Content-Length: 25000"))
        for _ in range(25):
            for each in wires:
                each["slow"].send(bytes(1000))
            time.sleep(0.1)  # this is what is tested: a sender that takes five times the timeout
        for each in wires:
            answer = each["slow"].read()
            assert (answer.status, len(answer.body)) == (200, 25_000)
            for what, (_, statuses) in late.items():
                assert [one.status for one in each[what].read_all()] == statuses, what


@pytest.mark.parametrize("app", [WSGI, ASGI], ids=["wsgi", "asgi"])
def test_a_client_that_does_not_read_is_cut(tmp_path: Path, app: str) -> None:
    with (
        Server(app, "--write-timeout", "0.3", directory=tmp_path) as server,
        Wire(server.port, small=True) as wire,
    ):
        (worker,) = server.workers()
        wire.send(request("GET", "/endless"))
        assert wire.stream.peek(1)
        server.until(lambda: not connected(worker), "its connection has ended")
        if app == WSGI:  # an ASGI application is told 10 s later (`test_asgi`)
            assert b"endless" in server.get("/closed").body
        with pytest.raises(Truncated):
            wire.read()


def connected(worker: psutil.Process) -> bool:
    """Whether it holds a client's connection."""
    return any(each.status == psutil.CONN_ESTABLISHED for each in worker.net_connections())


# Applications.


def test_a_sync_app_that_hangs_is_shot_with_its_stacks_in_the_log(tmp_path: Path) -> None:
    with (
        Server(WSGI, "-w", "2", "-t", "0.3", directory=tmp_path) as server,
        Wire(server.port) as wire,
    ):
        before = {worker.pid for worker in server.workers()}
        with Clients(server, "/whole", kept=2, fresh=2) as others:
            answer = wire.get("/sleeps?3600")
            assert (answer.status, answer.headers["connection"]) == (504, "close")
            assert wire.read_all() == []
            server.until(lambda: len({w.pid for w in server.workers()} - before) == 1, "replaced")
            seen = others.count
            server.until(lambda: others.count > seen + 50, "the others go on")
        assert not others.lost
        assert len(before & {worker.pid for worker in server.workers()}) == 1
        _, _, stack = server.log.partition("GET /sleeps?3600: no response in")
        assert "in sleeps" in stack
        distress, _, stacks = server.log.partition("its stacks:")
        assert "1 request in flight, last GET /sleeps (" in distress
        assert "in sleeps" in stacks


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_lone_sync_worker_that_hangs_answers_first(tmp_path: Path, tls: bool) -> None:
    authority = Authority(tmp_path)
    options = ("-t", "0.3", *(authority.options() if tls else ()))
    context = authority.client() if tls else None
    with (
        Server(WSGI, *options, directory=tmp_path) as server,
        Wire(server.port, tls=context) as wire,
    ):
        (hung,) = server.workers()
        assert wire.get("/sleeps?3600").status == 504
        server.until(lambda: not hung.is_running(), "it is killed")


def test_a_thread_that_hangs_is_answered_for_and_replaced(tmp_path: Path) -> None:
    """504 for its client, nothing for the others, and nobody waits for the thread."""
    with Server(WSGI, "--threads", "3", *REQUEST_TIMEOUT, directory=tmp_path) as server:
        hung = server.workers()[0]
        with Clients(server, "/whole", kept=1, fresh=1) as others, Wire(server.port) as wire:
            answer = wire.get("/sleeps?3600")
            assert answer.status == 504
            assert answer.headers["connection"] == "close"
            server.until(lambda: not hung.is_running(), "it left")
        assert not others.lost
        assert set(others.bodies) == {b"one two"}
        assert "GET /sleeps?3600: no response in" in server.log
        assert "in sleeps" in server.log.partition("its stack:")[2]
        assert "GET /sleeps has been running for" in server.log


def test_an_asgi_app_that_hangs_is_cancelled(tmp_path: Path) -> None:
    with Server(ASGI, *REQUEST_TIMEOUT, directory=tmp_path) as server, Wire(server.port) as wire:
        before = server.workers()
        assert wire.get("/holds").status == 504
        assert b'"holds": "cancelled"' in server.get("/notes").body
        assert server.workers() == before
        server.wait_log("GET /holds: no response in")
        assert "in holds" in server.log.partition("its stack:")[2]


@pytest.mark.parametrize("kind", ["thread", "asgi"])
@pytest.mark.parametrize(
    ("options", "target"), [(("-t", "0.3"), "/slow"), (REQUEST_TIMEOUT, "/slow?extended")]
)
def test_a_slow_request_is_answered(
    tmp_path: Path, kind: str, options: tuple[str, ...], target: str
) -> None:
    """`--timeout` is for workers that give no sign of life, and a request may ask for more."""
    app = f"tests.end_to_end.serving.slow:{'asgi' if kind == 'asgi' else 'wsgi'}"
    with (
        Server(app, "-k", kind, *options, directory=tmp_path) as server,
        Wire(server.port) as wire,
    ):
        assert wire.get(target).body == b"slow"


def test_a_sync_request_may_ask_for_more_than_timeout(tmp_path: Path) -> None:
    app = "tests.end_to_end.serving.slow:wsgi"
    with (
        Server(app, "-k", "sync", "-t", "0.3", directory=tmp_path) as server,
        Wire(server.port) as wire,
    ):
        assert wire.get("/slow?extended").body == b"slow"


def test_a_blocked_loop_is_shot(tmp_path: Path) -> None:
    with Server(ASGI, "-t", "0.3", directory=tmp_path) as server, Wire(server.port) as wire:
        blocked = server.workers()[0]
        wire.send(request("GET", "/holds?block"))
        assert wire.read_all() == []
        server.until(lambda: not blocked.is_running(), "it died")
        assert server.get("/notes").status == 200
        distress, _, stacks = server.log.partition("its stacks:")
        assert "last GET /holds (" in distress
        assert "in holds" in stacks


# Wear.


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_max_requests_loses_none(tmp_path: Path, interface: str) -> None:
    options = ("-w", "2", "--max-requests", "60", "--max-requests-jitter", "20")
    with (
        Server(f"tests.apps.plain:{interface}", *options, directory=tmp_path) as server,
        Clients(server, "/pid", kept=3, fresh=3) as clients,
    ):
        server.wait_log("will be replaced: it has answered", 4)
        seen = clients.count
        server.until(lambda: clients.count > seen + 50, "it goes on")
    assert not clients.lost
    assert len(clients.bodies) >= 4  # pids


def test_max_memory_loses_none(tmp_path: Path) -> None:
    with Server(ASGI, directory=tmp_path) as server:
        size = server.workers()[0].memory_info().rss >> 20
    (tmp_path / "server.log").unlink()
    with (
        Server(ASGI, "--max-memory", f"{size + 40}M", directory=tmp_path) as server,
        Clients(server, "/leaks", kept=1, fresh=1) as clients,
    ):
        server.wait_log("MiB of memory, --max-memory is", 1)
        server.until(lambda: len(clients.bodies) >= 2, "another worker answers")
    assert not clients.lost


def test_more_requests_than_a_worker_holds_connections_wait(tmp_path: Path) -> None:
    """Who waits for an answer keeps its place; who has it makes room for the next."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(ASGI, "--worker-connections", "4", directory=tmp_path))
        wires = [stack.enter_context(Wire(server.port)) for _ in range(8)]
        for wire in wires:
            wire.send(request("GET", "/slow?0.7"))
        assert len(answered(wires, 1)) <= 4
        for wire in wires:
            assert wire.read().status == 200
        assert wires[-1].get("/slow?0").status == 200


def answered(wires: list[Wire], count: int) -> list[Wire]:
    """Those that have something to read, once it is so many."""
    deadline = time.monotonic() + 15
    found: list[Wire] = []
    while len(found) < count and time.monotonic() < deadline:
        readable = select.select([wire.socket for wire in wires], [], [], 0.05)[0]
        found = [wire for wire in wires if wire.socket in readable]
    return found
