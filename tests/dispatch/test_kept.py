"""Kept connections are spread, and so is what they ask."""

import asyncio
import time
from collections import Counter
from pathlib import Path

from tests.dispatch.clients import KINDS, REQUEST
from tests.server import Server

CLIENTS, WORKERS, SECONDS = 24, 4, 1.0
PAUSE = 0.01  # seconds between two requests: the machine is not what they compete for
EVEN = 1.3  # the busiest worker's answers by the idlest's
ROUNDS, ENOUGH = 6, 2


async def ask(port: int, counts: Counter[bytes], until: float) -> None:
    """One request after another."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        writer.write(REQUEST % b"/")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        counts[await reader.readexactly(length)] += 1
        await asyncio.sleep(PAUSE)
    writer.close()
    await writer.wait_closed()


async def load(port: int) -> float:
    """How many times what the idlest worker answers the busiest does."""
    counts: Counter[bytes] = Counter()
    until = time.monotonic() + SECONDS
    await asyncio.gather(*(ask(port, counts, until) for _ in range(CLIENTS)))
    print(dict(counts))
    return max(counts.values()) / min(counts.values()) if len(counts) == WORKERS else 99.0


def test_least_gives_every_worker_as_much_to_do(tmp_path: Path) -> None:
    """In some rounds: in others the machine may starve a worker. Where the kernel decides,
    one worker gets nearly all, in each."""
    with Server(*KINDS["sync"], "-w", str(WORKERS), directory=tmp_path) as server:
        ratios: list[float] = []
        while len(ratios) < ROUNDS and sum(each <= EVEN for each in ratios) < ENOUGH:
            ratios.append(asyncio.run(load(server.port)))
        print([f"{each:.2f}" for each in ratios])
        assert sum(each <= EVEN for each in ratios) >= ENOUGH
