"""Quick requests beside slow ones: python -m tests.bench.mixed [OPTIONS].

Clients on kept connections, each with a pause between an answer and its next request; a few of
the requests are slow. Told is how long the quick ones took: what they waited for was a slow one.

``blocked``: one worker of four is blocked for three seconds; told is how many of the clients on
kept connections waited for longer than 100 ms.
"""

import argparse
import asyncio
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.dispatch.clients import KINDS, REQUEST
from tests.harness.server import Server

CLIENTS = 24
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
    """One kept connection, behind which there is a next one, if it ends before its time."""

    def __init__(self, port: int, figures: Figures, random: random.Random, often: float) -> None:
        self._port = port
        self._figures = figures
        self._random = random
        self._often = often
        self._transport: asyncio.Transport
        self._began: float | None = None
        self._is_slow = False
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._later()

    def _later(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(THINK * self._random.uniform(0.5, 1.5), self._ask)

    def _ask(self) -> None:
        if self._transport.is_closing():
            return
        if self.ended:
            self._transport.close()
            return
        self._is_slow = self._random.random() < self._often
        target = b"/work?ms=%d" % (SLOW * 1000) if self._is_slow else b"/"
        self._began = time.monotonic()
        self._transport.write(REQUEST % target)

    def data_received(self, data: bytes) -> None:
        if self._began is None:
            self._figures.errors.append(f"unexpected: {data[:80]!r}")
            return
        span, self._began = (self._began, time.monotonic()), None
        if not data.startswith(b"HTTP/1.1 200 "):
            self._figures.errors.append(repr(data[:80]))
        elif self._is_slow:
            self._figures.slow += 1
        else:
            self._figures.spans.append(span)
            self._figures.took.append(span[1] - span[0])
        self._later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._began is not None:
            self._figures.errors.append(f"ended within a request: {exc}")
        elif not self.ended:
            self._figures.errors.append(f"closed while idle: {exc}")
        if not self.ended:
            self._figures.again.append(asyncio.ensure_future(self.connect()))

    async def connect(self) -> None:
        """Make a connection."""
        self._began = None
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)


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


async def blocked(port: int) -> tuple[int, int]:
    """Block one worker; how many of the clients waited longer than LONG, and how many there are."""
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CLIENTS)]
    for client in clients:
        await ask(client, b"/")
    slow = asyncio.ensure_future(ask(clients[0], b"/work?ms=3000"))
    await asyncio.sleep(LONG)
    took = await asyncio.gather(*(ask(client, b"/") for client in clients[1:]))
    await slow
    for _, writer in clients:
        writer.close()
    return sum(each > LONG for each in took), len(took)


async def ask(client: tuple[asyncio.StreamReader, asyncio.StreamWriter], target: bytes) -> float:
    """Seconds until the answer."""
    began = time.monotonic()
    client[1].write(REQUEST % target)
    head = await client[0].readuntil(b"\r\n\r\n")
    await client[0].readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--often", type=float, default=OFTEN)
    parser.add_argument("--kind", choices=KINDS, default="sync")
    given, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as directory:
        with Server(*KINDS[given.kind], "-w", "4", *options, directory=Path(directory)) as server:
            late, of = asyncio.run(blocked(server.port))
            print(f"blocked: {late} of {of} clients waited over {LONG * 1000:.0f} ms")
            figures = asyncio.run(load(server.port, given.seconds, often=given.often))
        print("mixed:", figures)
        if "rror" in server.log:
            print(server.log)


if __name__ == "__main__":
    main()
