"""Quick requests beside slow ones: python -m tests.bench.mixed [OPTIONS].

Clients on kept connections, each with a pause between an answer and its next request; a few of
the requests are slow. Told is how long the quick ones took: what they waited for was a slow one.

``blocked``: one worker of four is blocked for three seconds; told is how many of the clients on
kept connections waited for longer than 100 ms.

``--peer NAME`` measures another server (tests.bench.peers); waitress has one process. With
``--nginx`` the clients talk to nginx, which keeps a pool of connections to the server.
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.peers import PEERS, Start
from tests.bench.running import Running
from tests.end_to_end.dispatch.clients import KINDS, REQUEST
from tests.end_to_end.proxies.reverse_proxies import front
from tests.harness.ports import free_port
from tests.harness.server import Server

NAMES = tuple(each.name for each in PEERS)

CLIENTS = 24
WORKERS = 4
THINK = 0.01  # seconds between an answer and the next request
SLOW = 0.3  # seconds of a slow request
OFTEN = 0.005  # the probability of one
TICK = 0.005  # seconds between two looks at whether this process has a core
LONG = 0.1  # seconds


@dataclass
class Figures:
    """What the quick requests took, in seconds, and when each was asked, monotonic."""

    took: list[float] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)
    stalls: list[tuple[float, float]] = field(default_factory=list)  # this process did not run
    slow: int = 0
    errors: list[str] = field(default_factory=list)
    again: list[asyncio.Future[None]] = field(default_factory=list)

    def at(self, percent: float) -> float:
        """A percentile, in milliseconds."""
        ranked = sorted(self.took)
        return 1000 * ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]

    def over(self, seconds: float) -> int:
        """How many took longer."""
        return sum(each > seconds for each in self.took)

    def __str__(self) -> str:
        points = " ".join(f"p{each:g} {self.at(each):.1f} ms" for each in (50, 95, 99, 99.9))
        return (
            f"{len(self.took)} quick, {self.slow} slow, {points}, "
            f"{self.over(0.02)} over 20 ms, {self.over(0.1)} over 100 ms, "
            f"{len(self.errors)} errors {self.errors[:3]}"
        )


class Client(asyncio.Protocol):
    """One kept connection, or the next one: it may end before its time, or after each answer."""

    def __init__(self, port: int, figures: Figures, random: random.Random, often: float) -> None:
        self._port = port
        self._figures = figures
        self._random = random
        self._often = often
        self._transport: asyncio.Transport
        self._began: float | None = None
        self._request = b""  # what is sent when there is a connection
        self._got = b""  # of the response
        self._is_slow = False
        self._closes = False  # the server said so
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._closes = transport, False
        if self._began is None:
            self._later()
        else:
            transport.write(self._request)

    def _later(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(THINK * self._random.uniform(0.5, 1.5), self._ask)

    def _ask(self) -> None:
        if self.ended:
            self._transport.close()
            return
        if self._transport.is_closing() and not self._closes:
            return
        self._is_slow = self._random.random() < self._often
        target = b"/work?ms=%d" % (SLOW * 1000) if self._is_slow else b"/"
        self._began, self._request, self._got = time.monotonic(), REQUEST % target, b""
        if self._closes:
            self._transport.close()
            self._figures.again.append(asyncio.ensure_future(self._connect()))
        else:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._began is None:
            self._figures.errors.append(f"unexpected: {data[:80]!r}")
            return
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or len(body) < content_length(head):
            return
        span, self._began = (self._began, time.monotonic()), None
        self._closes = b"\nconnection: close" in head.lower()
        if not head.startswith(b"HTTP/1.1 200 "):
            self._figures.errors.append(repr(head[:80]))
        elif self._is_slow:
            self._figures.slow += 1
        else:
            self._figures.spans.append(span)
            self._figures.took.append(span[1] - span[0])
        self._later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._closes:
            return
        if self._began is not None:
            self._figures.errors.append(f"ended within a request: {exc}")
        elif not self.ended:
            self._figures.errors.append(f"closed while idle: {exc}")
        if not self.ended:
            self._figures.again.append(asyncio.ensure_future(self.connect()))

    async def connect(self) -> None:
        """Make a connection."""
        self._began = None
        await self._connect()

    async def _connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)


def content_length(head: bytes) -> int:
    """Of the response of this head."""
    return int(head.lower().partition(b"\ncontent-length:")[2].split()[0])


async def load(
    port: int, seconds: float, *, clients: int = CLIENTS, often: float = OFTEN, seed: int = 1
) -> Figures:
    """Put the load on a server for so long."""
    loop, figures, chance = asyncio.get_running_loop(), Figures(), random.Random(seed)
    made = [Client(port, figures, chance, often) for _ in range(clients)]
    for client in made:
        await client.connect()
    watch = loop.create_task(watch_machine(figures))
    await asyncio.sleep(seconds)
    for client in made:
        client.ended = True
    await asyncio.sleep(SLOW * 4 + 2 * THINK)
    watch.cancel()
    return figures


async def watch_machine(figures: Figures) -> None:
    """Note when this process, which hardly works, did not run for want of a core."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(TICK)
        if (ended := time.monotonic()) - began > 2 * TICK:
            figures.stalls.append((began, ended))


async def blocked(port: int, *, seconds: float = 3.0) -> tuple[int, int]:
    """Block one worker; how many of the clients waited longer than LONG, and how many there are."""
    clients = [Asker(port) for _ in range(CLIENTS)]
    for client in clients:
        await client.ask(b"/")
    slow = asyncio.ensure_future(clients[0].ask(b"/work?ms=%d" % (seconds * 1000)))
    await asyncio.sleep(LONG)
    took = await asyncio.gather(*(client.ask(b"/") for client in clients[1:]))
    await slow
    for client in clients:
        client.close()
    return sum(each > LONG for each in took), len(took)


class Asker:
    """A client that keeps its connection, if the server does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, target: bytes) -> float:
        """Seconds until the answer."""
        began = time.monotonic()
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(REQUEST % target)
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readexactly(content_length(head))
        if b"\nconnection: close" in head.lower():
            self.close()
        return time.monotonic() - began

    def close(self) -> None:
        """Close its connection."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


@contextmanager
def serving(name: str, kind: str, options: Sequence[str]) -> Iterator[int]:
    """Run pyfork with ``options``, or the peer of this name; its port."""
    with tempfile.TemporaryDirectory() as directory:
        if name == "pyfork":
            app = (*KINDS[kind], "-w", str(WORKERS), *options)
            with Server(*app, directory=Path(directory)) as server:
                yield server.port
                if "rror" in server.log:
                    print(server.log)
            return
        peer = next(each for each in PEERS if each.name == name)
        if missing := peer.missing():
            raise SystemExit(f"not installed: {missing}")
        start = Start(
            f"tests.end_to_end.dispatch.app:{peer.interface}", free_port(), workers=WORKERS
        )
        with Running(peer, start, os.sched_getaffinity(0)) as running:
            running.wait_answers()
            running.wait_rest()
            yield running.port


@contextmanager
def behind(port: int) -> Iterator[int]:
    """Run nginx, with its pool of kept connections, before this port; its own port."""
    with (
        tempfile.TemporaryDirectory() as directory,
        front("nginx", f"127.0.0.1:{port}", Path(directory)) as proxy,
    ):
        yield int(proxy.address.rpartition(":")[2])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--often", type=float, default=OFTEN)
    parser.add_argument("--kind", choices=KINDS, default="sync")
    parser.add_argument("--peer", choices=["pyfork", *NAMES], default="pyfork")
    parser.add_argument("--nginx", action="store_true", help="in front, as a reverse proxy")
    given, options = parser.parse_known_args()
    with ExitStack() as stack:
        port = stack.enter_context(serving(given.peer, given.kind, options))
        if given.nginx:
            port = stack.enter_context(behind(port))
        late, of = asyncio.run(blocked(port))
        print(f"blocked: {late} of {of} clients waited over {LONG * 1000:.0f} ms")
        figures = asyncio.run(load(port, given.seconds, often=given.often))
        print("mixed:", figures)


if __name__ == "__main__":
    main()
