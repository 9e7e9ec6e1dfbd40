"""Hundreds of clients that send far ahead, all at once: what a worker takes for all of them.

What it takes is bounded before it is taken: the highest resident size counts, not the last one.
"""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.serving.frames import BINARY, frame, handshake
from tests.end_to_end.tls.authority import Authority
from tests.harness.client import Wire, request
from tests.harness.server import Server

MIB = 1 << 20
BOUND = 64 * MIB  # SECURITY.md
CLIENTS = 400
TLS_CLIENTS = 200  # each costs 20 KiB at rest, and copies what it writes
AHEAD = MIB // 2  # bytes of each; a loop reads half of them at once


@contextmanager
def bounded(worker: psutil.Process) -> Iterator[None]:
    """Check that ``worker`` never takes more than `BOUND` above its rest meanwhile."""
    rest = worker.memory_info().rss
    Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # forget the highest resident size
    yield
    status = Path(f"/proc/{worker.pid}/status").read_text()
    (highest,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    assert int(highest) * 1024 - rest < BOUND


def burst(server: Server, data: bytes, tls: ssl.SSLContext | None = None) -> None:
    """All clients send ``data``, as far as it is taken; another one is served meanwhile."""
    (worker,) = server.workers()
    get(server, tls)
    with ExitStack() as stack, bounded(worker):
        wires = [
            stack.enter_context(Wire(server.port, tls=tls))
            for _ in range(CLIENTS if tls is None else TLS_CLIENTS)
        ]
        for wire in wires:
            wire.socket.setblocking(False)
        left = dict.fromkeys(wires, memoryview(data))
        for _ in range(3):
            for wire in wires:
                with suppress(OSError):  # it takes no more, or has closed the connection
                    left[wire] = left[wire][wire.socket.send(left[wire]) :]
            get(server, tls)


def get(server: Server, tls: ssl.SSLContext | None) -> None:
    """A request of another client is answered."""
    with Wire(server.port, tls=tls) as wire:
        wire.get("/")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_half_messages_ahead_of_the_handshake(tmp_path: Path, loop: str) -> None:
    """No client may send them before it has the response (RFC 6455 4.1), but some do."""
    half = handshake("/echo") + frame(BINARY, bytes(2 * AHEAD))[: AHEAD + 14]
    app = "tests.apps.websocket_kinds:app"
    with Server(app, "-k", "asgi", "--loop", loop, directory=tmp_path) as server:
        burst(server, half)
        assert server.log.count("--ws-memory (24 MiB)") == 1


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_pipelined_requests(tmp_path: Path, interface: str) -> None:
    """Nobody reads the responses, so that all requests but the first ones wait."""
    one = request("GET", "/?bytes=200000")
    with Server(f"tests.apps.plain:{interface}", directory=tmp_path) as server:
        burst(server, one * (AHEAD // len(one)))
        assert server.log.count("requests that wait for earlier ones") == 1


@pytest.mark.soak
@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_pipelined_requests_over_tls(tmp_path: Path, interface: str) -> None:
    one, authority = request("GET", "/?bytes=20000"), Authority(tmp_path)
    app = f"tests.apps.plain:{interface}"
    with Server(app, *authority.options(), directory=tmp_path) as server:
        burst(server, one * (AHEAD // len(one)), authority.client())


@pytest.mark.soak
def test_half_messages_over_tls(tmp_path: Path) -> None:
    half = handshake("/echo") + frame(BINARY, bytes(2 * AHEAD))[: AHEAD + 14]
    authority = Authority(tmp_path)
    app = "tests.apps.websocket_kinds:app"
    with Server(app, "-k", "asgi", *authority.options(), directory=tmp_path) as server:
        burst(server, half, authority.client())
