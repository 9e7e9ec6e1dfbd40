"""A WebSocket whose handshake a drain interrupts."""

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.server import PATIENCE, Server

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
