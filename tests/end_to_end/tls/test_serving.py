"""HTTP over TLS is HTTP, whichever worker serves it."""

import json
import signal
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.apps.secure import BIG
from tests.end_to_end.tls.authority import Authority, connected, get
from tests.harness.server import PATIENCE, Server, exchange

WORKERS = {
    "sync": ("wsgi", "-k", "sync"),
    "thread": ("wsgi", "-k", "thread", "--threads", "4"),
    "sync-asyncio": ("wsgi", "-k", "sync", "--loop", "asyncio"),
    "asgi": ("asgi", "-k", "asgi"),
    "asgi-asyncio": ("asgi", "-k", "asgi", "--loop", "asyncio"),
    "uvicorn": ("asgi", "-k", "uvicorn"),
}


@pytest.mark.parametrize("kind", WORKERS)
def test_every_worker_speaks_it(tmp_path: Path, kind: str) -> None:
    authority = Authority(tmp_path)
    app, *options = WORKERS[kind]
    options += authority.options()
    with Server(f"tests.apps.secure:{app}", *options, directory=tmp_path) as server:
        assert server.urls[0].startswith("https://")
        with connected(server, authority.client()) as connection:
            told = json.loads(exchange(connection, "GET", "/").body)
            assert told["scheme"] == "https"
            assert exchange(connection, "POST", "/", BIG).body == BIG
            assert exchange(connection, "GET", "/big").body == BIG
            answer = exchange(connection, "GET", "/", headers={"Connection": "close"})
            assert answer.headers["Connection"] == "close"
        if app == "wsgi":
            assert get(server, authority.client(), "/file").body == BIG
            assert told["HTTPS"] == "on"
            assert told["SSL_PROTOCOL"] == "TLSv1.3"
        elif kind != "uvicorn":
            assert told["tls"]["tls_version"] == 0x0304
            assert told["tls"]["server_cert"].startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize("kind", ["asgi", "asgi-asyncio", "uvicorn"])
def test_websockets_are_wss(tmp_path: Path, kind: str) -> None:
    authority = Authority(tmp_path)
    _, *options = WORKERS[kind]
    options += authority.options()
    with Server("tests.apps.secure:asgi", *options, directory=tmp_path) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        with connect(url, ssl=authority.client()) as websocket:
            assert websocket.recv(PATIENCE) == f"wss {None if kind == 'uvicorn' else 0x0304}"
            websocket.send("x" * 100_000)
            assert websocket.recv(PATIENCE) == "x" * 100_000
            server.signal(signal.SIGHUP)
            server.wait_log("generation 2 serves")


@pytest.mark.parametrize("dispatch", ["shared", "round-robin", "reuseport"])
def test_every_dispatch(tmp_path: Path, dispatch: str) -> None:
    authority = Authority(tmp_path)
    options = [*authority.options(), "--dispatch", dispatch, "-w", "2"]
    with Server("tests.apps.secure:wsgi", *options, directory=tmp_path) as server:
        for _ in range(4):
            assert get(server, authority.client()).status == 200


def test_unix_sockets_too(tmp_path: Path) -> None:
    authority, path = Authority(tmp_path), tmp_path / "socket"
    options = [*authority.options("a.test"), "-b", f"unix:{path}"]
    with (
        Server("tests.apps.secure:wsgi", *options, directory=tmp_path),
        socket.socket(socket.AF_UNIX) as raw,
    ):
        raw.settimeout(PATIENCE)
        raw.connect(str(path))
        with authority.client().wrap_socket(raw, server_hostname="a.test") as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert read_to_end(client).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_pipelined_requests_and_an_end_that_is_meant(tmp_path: Path, loop: str) -> None:
    """The last one's end is told by close_notify: without it, this read would raise."""
    authority = Authority(tmp_path)
    options = [*authority.options(), "--loop", loop]
    with (
        Server("tests.apps.secure:wsgi", *options, directory=tmp_path) as server,
        wrapped(server, authority.client()) as client,
    ):
        one = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        client.sendall(one * 3 + b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = read_to_end(client)
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == 4
        assert answers.endswith(BIG)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_an_early_refusal_survives_what_the_client_still_sends(tmp_path: Path, loop: str) -> None:
    authority = Authority(tmp_path)
    options = [*authority.options(), "--loop", loop, "--limit-request-body", "1000"]
    with (
        Server("tests.apps.secure:wsgi", *options, directory=tmp_path) as server,
        wrapped(server, authority.client()) as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
        client.sendall(bytes(1_000_000))
        assert read_to_end(client).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_slow_reader_gets_everything(tmp_path: Path, loop: str) -> None:
    """More than all buffers hold, while others are served."""
    authority = Authority(tmp_path)
    options = [*authority.options(), "--loop", loop, "-k", "sync"]
    with (
        Server("tests.apps.secure:wsgi", *options, directory=tmp_path) as server,
        wrapped(server, authority.client()) as client,
    ):
        client.sendall(b"GET /file HTTP/1.0\r\n\r\n")
        first = client.recv(1000)
        assert get(server, authority.client()).status == 200
        assert (first + read_to_end(client)).endswith(BIG)


def test_a_stop_answers_what_runs_and_says_goodbye(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with (
        Server("tests.apps.secure:asgi", *authority.options(), directory=tmp_path) as server,
        wrapped(server, authority.client()) as idle,
        wrapped(server, authority.client()) as busy,
    ):
        for client in (idle, busy):
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        busy.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        server.signal(signal.SIGTERM)
        assert read_to_end(idle) == b""
        last = read_to_end(busy)
        assert last.startswith(b"HTTP/1.1 200")
        assert b"Connection: close\r\n" in last
        busy.close()  # else the server lingers, for whatever the client may still read
        assert server.wait() == 0


def test_a_reload_closes_what_idles_before_it_cuts_what_runs(tmp_path: Path) -> None:
    """It has been waited for: a client that speaks again is told by a response."""
    authority = Authority(tmp_path)
    options = [*authority.options(), "--graceful-timeout", "3"]
    with (
        Server("tests.apps.secure:asgi", *options, directory=tmp_path) as server,
        wrapped(server, authority.client()) as idle,
        wrapped(server, authority.client()) as next_asks,
        wrapped(server, authority.client()) as runs,
    ):
        for client in (idle, next_asks):
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        runs.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        assert runs.recv(65536).startswith(b"HTTP/1.1 200")
        server.signal(signal.SIGHUP)
        server.until(
            lambda: any("draining" in "".join(each.cmdline()) for each in server.processes()),
            "the old worker has heard that it leaves",
        )
        next_asks.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Connection: close\r\n" in read_to_end(next_asks)
        assert read_to_end(idle) == b""
        runs.setblocking(False)
        with suppress(ssl.SSLWantReadError):
            read_to_end(runs)
        runs.settimeout(PATIENCE)
        assert runs.recv(65536) == b"1\r\n.\r\n"
        server.wait_log("cut 1 requests that were still running")


def test_curl_agrees(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Server(
        "tests.apps.secure:wsgi", *authority.options("localhost"), directory=tmp_path
    ) as server:
        url = f"https://localhost:{server.port}/"
        resolve = f"localhost:{server.port}:127.0.0.1"
        command = ["curl", "-sS", "--cacert", authority.file, "--resolve", resolve, url]
        out = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE).stdout
        assert json.loads(out)["scheme"] == "https"


def wrapped(server: Server, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A bare connection that takes an end without close_notify for an error."""
    raw = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    return context.wrap_socket(raw, server_hostname="127.0.0.1", suppress_ragged_eofs=False)


def read_to_end(client: ssl.SSLSocket) -> bytes:
    """All that comes."""
    found = b""
    while data := client.recv(65536):
        found += data
    return found
