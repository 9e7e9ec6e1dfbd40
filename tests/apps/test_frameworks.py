"""The real command with four workers, for each framework: what every application must get."""

import hashlib
import json
import socket
import time
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect as connect_websocket

from tests.harness.server import PATIENCE, Server, exchange

APPS = {
    "wsgi": "tests.apps.wsgi",
    "flask": "tests.apps.flask_app:app",
    "django-wsgi": "tests.apps.django_wsgi",
    "asgi": "tests.apps.asgi:app",
    "django-asgi": "tests.apps.django_asgi",
    "starlette": "tests.apps.starlette_app",
    "fastapi": "tests.apps.fastapi_app:app",
}
SPEAKS_WSGI = ("wsgi", "flask", "django-wsgi")
MEBIBYTE = bytes(range(256)) * 4096


@pytest.fixture(scope="module", params=APPS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Server]]:
    """One server for all tests of a framework."""
    directory = tmp_path_factory.mktemp(request.param)
    with Server(APPS[request.param], "-w", "4", directory=directory) as server:
        yield request.param, server


@pytest.fixture
def server(served: tuple[str, Server]) -> Iterator[Server]:
    """The server; the four workers that the test began with are there at its end."""
    before = served[1].workers()
    assert len(before) == 4
    yield served[1]
    assert served[1].workers() == before


def test_get(served: tuple[str, Server], server: Server) -> None:
    answer = server.get("/")
    assert answer.status == 200
    assert answer.body.decode() == f"hello from {served[0].partition('-')[0]}"
    assert int(answer.headers["X-Pid"]) in [worker.pid for worker in server.workers()]


def test_head(server: Server) -> None:
    connection = server.connect()
    for method in ("HEAD", "GET"):  # a body after the head would spoil the second answer
        answer = exchange(connection, method, "/")
        assert answer.status in ((200, 405) if method == "HEAD" else (200,))
        assert (answer.body == b"") == (method == "HEAD")
    connection.close()


def test_keep_alive(server: Server) -> None:
    connection = server.connect()
    pids = set()
    for _ in range(20):
        pids.add(exchange(connection, "GET", "/").headers["X-Pid"])
        sock = connection.sock  # http.client drops it when the server closes
        assert sock is not None
    connection.close()
    assert len(pids) == 1


def test_pipelining(server: Server) -> None:
    request = b"GET /slow?s=%s HTTP/1.1\r\nHost: x\r\n%s\r\n"
    sent = request % (b"0.1", b"") + request % (b"0", b"") * 3
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        client.sendall(sent + request % (b"0", b"Connection: close\r\n"))
        received = b""
        while data := client.recv(65536):
            received += data
    assert received.count(b"HTTP/1.1 200") == 5
    assert received.count(b"slept") == 5


def test_form(server: Server) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = server.request("POST", "/form", "other=1&name=Ann%C3%A9", headers)
    assert (answer.status, answer.body.decode().strip('"')) == (200, "Anné")


def test_upload_of_50_mb(server: Server) -> None:
    body = MEBIBYTE * 50
    headers = {"Content-Type": "application/octet-stream"}
    answer = server.request("POST", "/upload", body, headers)
    expected = {"sha256": hashlib.sha256(body).hexdigest(), "length": len(body)}
    assert json.loads(answer.body) == expected


def test_upload_in_chunks(server: Server) -> None:
    headers = {"Content-Type": "application/octet-stream"}  # http.client adds Transfer-Encoding
    answer = server.request("POST", "/upload", (MEBIBYTE[:99999] for _ in range(30)), headers)
    body = MEBIBYTE[:99999] * 30
    expected = {"sha256": hashlib.sha256(body).hexdigest(), "length": len(body)}
    assert json.loads(answer.body) == expected


def test_stream(server: Server) -> None:
    answer = server.get("/stream?n=500")
    assert answer.status == 200
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.body.decode().splitlines() == [f"chunk {number}" for number in range(500)]


def test_slow_requests_run_side_by_side(served: tuple[str, Server], server: Server) -> None:
    connections = [server.connect() for _ in range(2)]
    start = time.monotonic()
    for connection in connections:
        connection.request("GET", "/slow?s=0.5")
    assert [each.getresponse().read().strip(b'"') for each in connections] == [b"slept"] * 2
    assert time.monotonic() - start >= 0.5
    for connection in connections:
        connection.close()


def test_not_found(server: Server) -> None:
    assert server.get("/nothing/here").status == 404


def test_exception(server: Server) -> None:
    for _ in range(5):
        assert server.get("/boom").status == 500
    assert server.get("/").status == 200


def test_websocket(served: tuple[str, Server], server: Server) -> None:
    if served[0] in SPEAKS_WSGI:
        pytest.skip("WSGI knows no WebSockets")
    with connect_websocket(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as websocket:
        for message in ("hello", "é" * 70000, b"\x00\xff" * 10, ""):
            websocket.send(message)
            assert websocket.recv(PATIENCE) == message
