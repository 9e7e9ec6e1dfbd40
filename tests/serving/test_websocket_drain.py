"""A WebSocket whose handshake a drain interrupts."""

import signal
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
