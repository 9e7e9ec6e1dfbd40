"""Where WSGI code runs: without a running loop, one request at a time, in one thread."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.client import Wire, request
from tests.harness.server import Server, exchange
from tests.wsgi.app import LOOPS

KINDS = {
    "uvloop": ("--loop", "uvloop"),
    "asyncio": ("--loop", "asyncio"),
    "thread": ("--threads", "4"),
}


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    with Server("tests.wsgi.app", *KINDS[request.param], directory=directory) as server:
        server.kind = request.param  # type: ignore[attr-defined]
        yield server


@pytest.mark.parametrize("name", LOOPS)
def test_an_event_loop_runs_in_a_request(server: Server, name: str) -> None:
    for _ in range(3):
        answer = server.get(f"/loop?{name}")
        assert (answer.status, answer.headers["X-Call"], answer.body) == (200, "2", b"2")
    assert "error in the application" not in server.log


def test_there_is_no_running_loop(server: Server) -> None:
    """`get_event_loop` gives what it gives in a program without a server."""
    answer = server.get("/policy").body.decode()
    running, _, result = answer.partition("; ")
    assert running == "no running event loop"
    assert result == "2" or "There is no current event loop" in result


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("uvloop", "asyncio.run"),
        ("uvloop", "uvloop.run"),
        ("asyncio", "uvloop.run"),
        ("asyncio", "own"),
    ],
)
def test_signals_are_heard_behind_a_loop_of_the_application(
    tmp_path: Path, kind: str, name: str
) -> None:
    """TERM to a worker, HUP, a hang, and TERM."""
    with Server("tests.wsgi.app", "--loop", kind, "--timeout", "1", directory=tmp_path) as server:
        for number in (signal.SIGTERM, signal.SIGHUP):
            [worker] = server.workers()
            assert server.get(f"/loop?{name}").body == b"2"
            if number == signal.SIGTERM:
                worker.send_signal(number)
            else:
                server.signal(number)
            server.until(lambda: not worker.is_running(), "it has left", 5.0)  # noqa: B023
            server.until(lambda: server.get("/pid").status == 200, "there is another")
        server.get(f"/loop?{name}")
        [worker] = server.workers()
        assert server.get("/sleep?20").status == 504
        server.until(lambda: not worker.is_running(), "the hung one is killed")
        server.until(lambda: server.get("/pid").status == 200, "the hung one is replaced")
        server.get(f"/loop?{name}")


def test_requests_do_not_mix(server: Server) -> None:
    """Each is called, iterated and closed in one thread and context; on `sync` before another."""
    names = [f"request-{number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(lambda name: server.get(f"/ordered?{name},30"), names))
    expected = b"".join(b"%d\n" % number for number in range(30))
    assert all(answer.body == expected for answer in found)
    told = [line for line in server.get("/told").body.decode().split("\n") if "request-" in line]
    assert len(told) == len(names) * 32
    if server.kind != "thread":  # type: ignore[attr-defined]
        order = [line.partition(" ")[0] for line in told]
        assert order == [name for name in dict.fromkeys(order) for _ in range(32)]


@pytest.mark.parametrize("how", ["pieces", "write"])
def test_a_piece_is_seen_before_the_next_is_made(server: Server, how: str, tmp_path: Path) -> None:
    with Wire(server.port) as wire:
        wire.send(request("GET", f"/prompt?{how},{tmp_path}"))
        while wire.stream.readline() != b"\r\n":
            pass
        for number in range(5):
            lines = [wire.stream.readline() for _ in range(3)]
            assert lines == [b"2\r\n", b"%d\n" % number, b"\r\n"]
            (tmp_path / str(number)).touch()
        assert wire.stream.readline() == b"0\r\n"


def test_signals_in_a_request(server: Server) -> None:
    if server.kind == "thread":  # type: ignore[attr-defined]
        pytest.skip("a thread of a pool gets no signals")
    for _ in range(2):
        assert server.get("/alarm").body == b"late"


def test_greenlets(server: Server) -> None:
    answer = server.get("/green")
    assert (answer.headers["X-Green"], answer.body) == ("abab", b"greenlet")


def test_a_reader_that_stops_holds_nobody(server: Server) -> None:
    """What it does not read is kept, and sent when it reads on."""
    with Wire(server.port, small=True) as slow:
        slow.send(request("GET", "/ordered?slow,3") + request("GET", "/ordered?behind,3"))
        began = time.monotonic()
        assert server.get("/pid").status == 200
        assert time.monotonic() - began < 2
        assert slow.read().body == slow.read().body == b"0\n1\n2\n"


def test_what_is_logged_is_what_was_asked(tmp_path: Path) -> None:
    """Whatever an application makes of its environment, for this and for later requests."""
    options = ("--access-logfile", "-", "--access-logformat", "%(h)s %(r)s")
    with Server("tests.wsgi.app", *options, directory=tmp_path) as server:
        connection = server.connect()
        for path in ("/changes", "/changes", "/pid", "/changes", "/pid"):
            assert exchange(connection, "GET", path).status == 200
        connection.close()
        server.until(lambda: server.out.count("\n") == 5, "all are logged")
        lines = server.out.splitlines()
        assert {line.partition(" ")[0] for line in lines} == {"127.0.0.1"}
        assert all(" GET /" in line for line in lines)


@pytest.mark.parametrize("how", ["pieces", "write"])
def test_a_stream_may_last_longer_than_the_timeout(tmp_path: Path, how: str) -> None:
    """On a worker of one thread, whose loop has no turn meanwhile."""
    with Server("tests.wsgi.app", "--timeout", "1", directory=tmp_path) as server:
        [worker] = server.workers()
        assert len(server.get(f"/lasts?{how}").body) == 12
        assert server.workers() == [worker]
