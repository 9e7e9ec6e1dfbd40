"""passenger#2571, waitress#470: WebSockets in threads, by the connection's own socket."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.harness.server import Server, exchange
from tests.wsgi.taken import ENDS, FAILURES, LARGE


@pytest.fixture(params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    options = ("--threads", "4", "--loop", request.param, "--timeout", "1")
    with Server(
        "tests.wsgi.sockets:app", *options, "--access-logfile", "-", directory=tmp_path
    ) as server:
        yield server


def websocket(server: Server, path: str) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}{path}", close_timeout=5)


def test_a_websocket_lives_as_long_as_it_likes(server: Server) -> None:
    """Longer than --timeout, beside other requests; it is counted, and logged as 101."""
    with websocket(server, "/echo") as one, websocket(server, "/echo") as other:
        for client in (one, other):
            client.send("x" * 70_000)
            assert client.recv(5) == "x" * 70_000
        assert server.get("/").body == b"index"
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            one.send("on")
            assert one.recv(5) == "on"
            time.sleep(0.1)
        one.send("end")
        with pytest.raises(ConnectionClosed):
            one.recv(5)
        assert one.close_code == 1000
        other.send(b"\0bytes")
        assert other.recv(5) == b"\0bytes"
    server.until(lambda: server.out.count('"GET /echo HTTP/1.1" 101') == 2, "both are logged")
    assert "Traceback" not in server.log


def test_a_stop_ends_those_that_stay(server: Server, tmp_path: Path) -> None:
    with websocket(server, "/echo") as client:
        client.send("x")
        assert client.recv(5) == "x"
        server.signal(signal.SIGQUIT)
        began = time.monotonic()
        with pytest.raises(ConnectionClosed):
            client.recv(10)
        assert server.wait() == 0
        assert time.monotonic() - began < 5


def test_a_failure_in_it(server: Server) -> None:
    with websocket(server, "/fails") as client:
        assert client.recv(5) == "about to fail"
        with pytest.raises(ConnectionClosed):
            client.recv(10)
    server.wait_log("failed in a WebSocket")
    assert server.get("/").status == 200


def test_what_only_asks_takes_nothing(server: Server) -> None:
    connection = server.connect()
    for _ in range(2):
        assert exchange(connection, "GET", "/asks").body == b"True"
    late = exchange(connection, "GET", "/late").body
    assert late.startswith(b"begun the connection cannot be taken")
    assert exchange(connection, "GET", "/").body == b"index"
    connection.close()


def test_the_end_of_a_taken_connection_is_no_failure(tmp_path: Path) -> None:
    """python-engineio's WebSockets and simple-websocket end by an exception."""
    options = ("--threads", "2", "-w", "1", "--log-level", "debug")
    with Server("tests.wsgi.taken:app", *options, directory=tmp_path) as server:
        for path in (*ENDS, *FAILURES):
            assert server.get(path).status == 204
        assert server.get("/not-taken").status == 500
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    failed = re.findall(r"\[ERROR\].* error in the application at GET (\S+)", server.log)
    assert sorted(failed) == sorted([*FAILURES, "/not-taken"])
    ended = re.findall(r"\[DEBUG\].* connection of GET (\S+) ended: ", server.log)
    assert sorted(ended) == sorted(ENDS.keys() - {"/stop-iteration"})


def test_send_sends_all(tmp_path: Path) -> None:
    """As on a blocking socket; simple-websocket does not look at what send() returns."""
    with Server("tests.wsgi.taken:app", "--threads", "2", directory=tmp_path) as server:
        assert server.get("/large").body == b"x" * LARGE
    assert "[ERROR]" not in server.log
