"""WebSockets in a drain: they are closed with 1012, and every client gets to read that."""

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.end_to_end.serving.frames import CLOSE as CLOSING
from tests.end_to_end.serving.frames import PING, TEXT, Frame, FrameWire, frame
from tests.end_to_end.tls.authority import Authority
from tests.harness.server import PATIENCE, Server

APP = """
import asyncio, os

async def app(scope, receive, send):
    await receive()
    open("asked", "w").close()
    while not os.path.exists("admitted"):
        await asyncio.sleep(0.01)
    await send({"type": "websocket.accept"})
    await receive()
"""
# More than a client's socket takes: what is left of it keeps the connection open.
BIG = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "bytes": bytes(1 << 24)})
    assert (await receive())["type"] == "websocket.disconnect"
    open("left", "w").close()
"""

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"  # 1000, with a mask of zeros


def test_a_handshake_is_finished_and_then_told_to_come_back(tmp_path: Path) -> None:
    """It is a request like another: one that runs is answered, and not with 500."""
    (tmp_path / "chat.py").write_text(APP)
    options = ["--lifespan", "off"]
    with (
        Server("chat:app", *options, directory=tmp_path, cwd=tmp_path) as server,
        ThreadPoolExecutor() as pool,
    ):
        url = f"ws://127.0.0.1:{server.port}/"
        opened = pool.submit(connect, url, open_timeout=PATIENCE)
        server.until((tmp_path / "asked").exists, "the application is asked")
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        (tmp_path / "admitted").touch()
        with opened.result(PATIENCE) as websocket, pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


def test_a_client_that_leaves_before_its_handshake_is_over_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "chat.py").write_text(APP)
    options = ["--lifespan", "off"]
    with (
        Server("chat:app", *options, directory=tmp_path, cwd=tmp_path) as server,
        ThreadPoolExecutor() as pool,
    ):
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
            client.sendall(HANDSHAKE)
            server.until((tmp_path / "asked").exists, "the application is asked")
            (tmp_path / "asked").unlink()
            opened = pool.submit(connect, f"ws://127.0.0.1:{server.port}/", open_timeout=PATIENCE)
            server.until((tmp_path / "asked").exists, "it is asked for another client")
            server.signal(signal.SIGHUP)
            server.wait_log("generation 2 serves")
        with pytest.raises(TimeoutError):  # the drain looks at both again and again
            opened.result(0.2)
        (tmp_path / "admitted").touch()
        with opened.result(PATIENCE):
            pass
    assert "Exception in callback" not in server.log


def test_a_client_that_closes_at_this_moment_does_not_end_the_worker(tmp_path: Path) -> None:
    """Its connection waits for the client to read, when the drain looks at it."""
    (tmp_path / "chat.py").write_text(BIG)
    options = ["--lifespan", "off", "-w", "1"]
    with Server("chat:app", *options, directory=tmp_path, cwd=tmp_path) as server:
        (worker,) = server.workers()
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
            client.sendall(HANDSHAKE)
            assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
            client.sendall(CLOSE)
            server.until((tmp_path / "left").exists, "the application knows that it closes")
            server.signal(signal.SIGHUP)
            server.wait_log("generation 2 serves")
            assert worker.is_running()
            while client.recv(1 << 20):
                pass
        server.until(lambda: not worker.is_running(), "the first worker has left")
    assert "CRITICAL" not in server.log


KINDS = "tests.apps.websocket_kinds:app"
RESTART = (1012).to_bytes(2)
DRAINS = pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])


@DRAINS
@pytest.mark.parametrize("kind", ["uvloop", "asyncio", "tls"])
def test_a_close_waits_for_the_clients_close_frame(
    tmp_path: Path, number: signal.Signals, kind: str
) -> None:
    """What the client sent before it read the close does not turn it into a reset, and is read."""
    options, context = ["--loop", kind], None
    if kind == "tls":
        authority = Authority(tmp_path)
        options, context = authority.options(), authority.client()
    with (
        Server(KINDS, *options, directory=tmp_path) as server,
        FrameWire(server.port, tls=context) as wire,
    ):
        wire.open("/echo")
        wire.send(frame(TEXT, b"hello"))
        assert wire.read_frame() == Frame(TEXT, b"hello")
        (worker,) = server.workers()
        server.signal(number)
        assert wire.read_frame() == Frame(CLOSING, RESTART)
        for _ in range(100):
            wire.send(frame(TEXT, b"crossing") + frame(PING, b"p"))
        assert worker.is_running()
        wire.send(frame(CLOSING, RESTART))
        pongs = 0
        while wire.stream.peek(1):
            assert wire.read_frame() == Frame(10, b"p")
            pongs += 1
        assert pongs == 100
        server.until(lambda: not worker.is_running(), "the worker has left")
    assert "ERROR" not in server.log


def test_a_client_that_does_not_answer_is_left(tmp_path: Path) -> None:
    """Within the grace, and without a reset: the close frame is there to be read."""
    with Server(KINDS, directory=tmp_path) as server, FrameWire(server.port) as wire:
        wire.open("/echo")
        (worker,) = server.workers()
        server.signal(signal.SIGHUP)
        server.until(lambda: not worker.is_running(), "the worker has left")
        assert wire.read_frame() == Frame(CLOSING, RESTART)
        assert wire.is_at_end()


def test_a_short_grace_is_kept(tmp_path: Path) -> None:
    """A client that does not answer is closed before it would be cut."""
    with (
        Server(KINDS, "--graceful-timeout", "6", directory=tmp_path) as server,
        FrameWire(server.port) as wire,
    ):
        wire.open("/echo")
        wire.send(frame(TEXT, b"hello"))
        assert wire.read_frame() == Frame(TEXT, b"hello")
        server.signal(signal.SIGTERM)
        assert wire.read_frame() == Frame(CLOSING, RESTART)
        assert wire.is_at_end()
        wire.close()
        assert server.wait() == 0
    assert "cut" not in server.log


def told_while_talking(client: ClientConnection) -> int:
    """The code of the close frame that ends a conversation."""
    try:
        while True:
            client.send("more")
            client.recv(PATIENCE)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006


@DRAINS
@pytest.mark.parametrize("kind", ["starlette_echo", "starlette_tick", "tick", "echo"])
def test_an_application_that_goes_on_sending_is_no_error(
    tmp_path: Path, number: signal.Signals, kind: str
) -> None:
    """Nor one that leaves Starlette's WebSocketDisconnect to the server."""
    with Server(KINDS, directory=tmp_path) as server:
        (worker,) = server.workers()
        url = f"ws://127.0.0.1:{server.port}/{kind}"
        with ExitStack() as stack:
            clients = [
                stack.enter_context(connect(url, open_timeout=PATIENCE, proxy=None))
                for _ in range(5)
            ]
            for client in clients:
                client.send("hello")
                assert client.recv(PATIENCE) in ("hello", "tick")
            server.signal(number)
            assert [told_while_talking(client) for client in clients] == [1012] * 5
        server.until(lambda: not worker.is_running(), "the worker has left")
        levels = [line.split("] [")[2] for line in server.log.splitlines() if "] [" in line]
        assert set(levels) == {"INFO"}, server.log


WAITS = """
import asyncio

async def app(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/waits":
        await asyncio.Event().wait()
    assert (await receive())["type"] == "websocket.receive"
    open("working", "w").close()
    await asyncio.sleep(1)
    open("done", "w").close()
"""


@DRAINS
def test_an_application_that_waits_for_something_else_is_ended(
    tmp_path: Path, number: signal.Signals
) -> None:
    """As one that forwards a channel in which nothing is said: it would take all of the grace."""
    (tmp_path / "chat.py").write_text(WAITS)
    options = ["--lifespan", "off"]
    with Server("chat:app", *options, directory=tmp_path, cwd=tmp_path) as server:
        (worker,) = server.workers()
        with connect(f"ws://127.0.0.1:{server.port}/waits", proxy=None) as client:
            server.signal(number)
            assert told_while_talking(client) == 1012
        server.until(lambda: not worker.is_running(), "the worker has left", timeout=10)
    assert "WARNING" not in server.log
    assert "ERROR" not in server.log


@DRAINS
def test_an_application_that_works_on_a_message_is_not_ended(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "chat.py").write_text(WAITS)
    options = ["--lifespan", "off"]
    with Server("chat:app", *options, directory=tmp_path, cwd=tmp_path) as server:
        (worker,) = server.workers()
        with connect(f"ws://127.0.0.1:{server.port}/works", proxy=None) as client:
            client.send("pay")
            server.until((tmp_path / "working").exists, "it works")
            server.signal(number)
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
        server.until(lambda: not worker.is_running(), "the worker has left")
        assert (tmp_path / "done").exists()
    assert "ERROR" not in server.log
