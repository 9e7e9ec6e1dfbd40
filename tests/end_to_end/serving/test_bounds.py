"""What one client can make a worker keep, by not reading or by sending ahead: the table of
docs/design.md, on every kind of worker, with and without TLS."""

import contextlib
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.tls.authority import Authority
from tests.harness.client import Wire, request
from tests.harness.server import PATIENCE, Server

MIB = 1 << 20
ANSWER = 200_000  # bytes
KEPT = 4 * MIB  # what a worker may take for such a client, with what the allocator rounds up
# What the two kernel buffers of a loopback connection hold (tcp_wmem, and a small tcp_rmem).
SYSTEM = 8 * MIB

KINDS = {
    "sync": ("wsgi", "--loop", "uvloop"),
    "thread": ("wsgi", "--threads", "2", "--loop", "asyncio"),
    "asgi": ("asgi", "--loop", "uvloop"),
    "sync-tls": ("wsgi", "--loop", "uvloop"),
    "asgi-tls": ("asgi", "--loop", "asyncio"),
}


class Bounded:
    """A server of one kind, and how it is spoken with."""

    def __init__(self, server: Server, tls: ssl.SSLContext | None) -> None:
        self.server = server
        self.tls = tls
        (self._worker,) = server.workers()
        self._other = Wire(server.port, tls=tls)

    def close(self) -> None:
        """End the connection that asks."""
        self._other.close()

    def wire(self) -> Wire:
        """A client that reads little."""
        return Wire(self.server.port, small=True, tls=self.tls)

    @property
    def memory(self) -> int:
        """Bytes that the worker has in memory."""
        return int(self._worker.memory_info().rss)

    def seen(self, path: str) -> int:
        """How often the application was called for ``path``."""
        return int(json.loads(self._other.get("/seen").body).get(path, 0))

    def settled(self, path: str) -> int:
        """`seen`, once it stays the same for many turns of the worker's loop."""
        last: list[int] = []

        def stays() -> bool:
            last.append(self.seen(path))
            return len(last) > 10 and len(set(last[-10:])) == 1

        self.server.until(stays, f"{path} is asked for no more")
        return last[-1]


@pytest.fixture(scope="module", params=KINDS)
def bounded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bounded]:
    interface, *options = KINDS[request.param]
    directory: Path = tmp_path_factory.mktemp(request.param)
    context = None
    if request.param.endswith("tls"):
        authority = Authority(directory)
        options += authority.options()
        context = authority.client()
    options += ["--write-timeout", "1"]
    with Server(f"tests.apps.plain:{interface}", *options, directory=directory) as server:
        kind = Bounded(server, context)
        yield kind
        kind.close()


def test_answers_that_nobody_reads_are_not_made(bounded: Bounded) -> None:
    """1,500 requests in one write; all are answered when the client reads."""
    count = 1500
    bounded.seen("/")
    before = bounded.memory
    with bounded.wire() as wire:
        wire.send(request("GET", f"/unread?bytes={ANSWER}") * count)
        made = bounded.settled("/unread")
        assert 1 <= made * ANSWER < SYSTEM + KEPT
        assert bounded.memory - before < KEPT
        for number in range(100):
            assert len(wire.read().body) == ANSWER, number
        assert bounded.memory - before < KEPT
    assert bounded.seen("/unread") < count


def test_requests_one_by_one_are_no_way_around(bounded: Bounded) -> None:
    """Each is sent when the one before has been answered, which nobody reads."""
    bounded.seen("/")
    before = bounded.memory
    with bounded.wire() as wire:
        made, last = 0, -1
        while made != last:
            wire.send(request("GET", f"/singly?bytes={ANSWER}"))
            last, made = made, bounded.settled("/singly")
        assert made * ANSWER < SYSTEM + KEPT
        assert bounded.memory - before < KEPT
        for _ in range(made + 1):  # and the one that had no turn yet
            assert len(wire.read().body) == ANSWER


def test_more_requests_are_no_progress(bounded: Bounded) -> None:
    """A client that reads nothing is cut after --write-timeout, whatever it sends."""
    with bounded.wire() as wire:
        wire.socket.settimeout(0.05)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            send_on(wire)


def send_on(wire: Wire) -> None:
    """Send a request each 50 ms, for as long as a busy machine may take."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            wire.send(request("GET", f"/?bytes={ANSWER}"))
        time.sleep(0.05)  # this is what is tested: a sender that goes on


HANDSHAKE = request(
    "GET",
    "/ws",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
BUFFERED = 16 * MIB  # bytes, more than the system keeps for a connection


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_bytes_behind_a_handshake_that_waits(tmp_path: Path, loop: str) -> None:
    """Reading pauses; when its turn comes, the frames behind it are read."""
    with (
        Server("tests.apps.asgi_kinds:app", "--loop", loop, directory=tmp_path) as server,
        Wire(server.port) as wire,
    ):
        (worker,) = server.workers()
        server.get("/notes")
        before = worker.memory_info().rss
        ping = b"\x89\x84\0\0\0\0ping"  # masked with zeros
        wire.send(request("POST", "/reads-late") + HANDSHAKE)
        wire.socket.settimeout(0.5)
        sent, frames = 0, ping * 100_000
        with contextlib.suppress(TimeoutError):
            while sent < 96 * MIB:
                sent += wire.socket.send(frames)
        assert sent < BUFFERED
        assert worker.memory_info().rss - before < KEPT
        wire.socket.settimeout(PATIENCE)
        server.get("/open/reads-late")
        assert wire.socket.recv(4096).startswith(b"HTTP/1.1 200 ")
        behind = b""
        while b"HTTP/1.1 101 " not in behind or len(behind) < 64 * 1024:
            piece = wire.socket.recv(64 * 1024)
            assert piece, "it has ended"
            behind += piece
        assert behind.count(b"\x8a\x04ping") > 10_000
