"""Clients that read slowly, or not at all: what is kept, and when the application waits."""

import socket
import time
from pathlib import Path

import pytest

from tests.end_to_end.tls.authority import Authority
from tests.harness.client import Wire, request
from tests.harness.server import Server

SMALL = ("--response-buffer", "64K", "--response-spool", "300K")
KINDS = {
    "sync": ("--loop", "uvloop"),
    "asyncio": ("--loop", "asyncio"),
    "thread": ("--threads", "2"),
}


def much(size: int) -> bytes:
    """What /much answers, of so many MiB."""
    size <<= 20
    count = -(-size // 100_000)
    return b"".join(bytes([(1 + number) % 251]) * 100_000 for number in range(count))[:size]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limits", [(), SMALL], ids=["buffered", "waiting"])
def test_a_slow_reader_gets_all(tmp_path: Path, kind: str, limits: tuple[str, ...]) -> None:
    """Also where both buffers are full and the application has to wait, with a next request."""
    with Server("tests.wsgi.app", *KINDS[kind], *limits, directory=tmp_path) as server:
        with Wire(server.port, small=True) as slow:
            slow.send(request("GET", "/much?3") + request("GET", "/much?1"))
            slow.socket.recv(1000, socket.MSG_PEEK)  # it has begun
            if not limits or kind == "thread":
                began = time.monotonic()
                assert server.get("/pid").status == 200
                assert time.monotonic() - began < 2
            assert slow.read().body == much(3)
            assert slow.read().body == much(1)
        assert server.get("/told").body.count(b"closed much") == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_stops_is_left(tmp_path: Path, kind: str) -> None:
    """The application waits for it no longer than --write-timeout, and is closed."""
    options = (*KINDS[kind], *SMALL, "--write-timeout", "1", "--timeout", "2")
    with Server("tests.wsgi.app", *options, directory=tmp_path) as server:
        [worker] = server.workers()
        with Wire(server.port, small=True) as stopped:
            stopped.send(request("GET", "/much?40"))
            stopped.socket.recv(1000, socket.MSG_PEEK)
            server.until(lambda: b"closed much" in server.get("/told").body, "it is closed")
        assert server.workers() == [worker]
        assert "hangs" not in server.log


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limits", [(), SMALL], ids=["buffered", "waiting"])
def test_a_slow_reader_of_tls_gets_all(tmp_path: Path, kind: str, limits: tuple[str, ...]) -> None:
    authority = Authority(tmp_path)
    options = (*KINDS[kind], *limits, *authority.options())
    with Server("tests.wsgi.app", *options, directory=tmp_path) as server:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(20)
        plain.connect(("127.0.0.1", server.port))
        context = authority.client()
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            wire = Wire.__new__(Wire)
            wire.socket, wire.stream = client, client.makefile("rb")
            wire.send(request("GET", "/much?3"))
            wire.send(request("GET", "/much?1"))
            time.sleep(0.2)  # what the system keeps is full then; nothing depends on it
            assert wire.read().body == much(3)
            assert wire.read().body == much(1)
            wire.stream.close()


def test_the_iteration_ends_when_the_client_goes(tmp_path: Path) -> None:
    with Server("tests.wsgi.app", directory=tmp_path) as server:
        with Wire(server.port) as wire:
            wire.send(request("GET", "/much?1000"))
            assert wire.socket.recv(1000)
        assert b"closed much" in server.get("/told").body
