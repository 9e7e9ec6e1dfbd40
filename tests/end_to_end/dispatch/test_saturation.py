"""A worker that has more to do than it can is fair to clients that come: it counts, not times."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.dispatch.clients import KINDS, REQUEST, answer, connect
from tests.harness.server import Server

WORK = REQUEST % b"/work?ms=5"
KEPT, NEW = 25, 40
BEFORE = 4 * KEPT  # answers before the new clients come
# Answers that kept connections may have before a new one has its first. One accept a turn would
# give them 20 rounds, and one only when a thread is free an infinite number.
MOST = 10 * KEPT
DEADLINE = 30.0  # seconds

SATURATED = {
    "sync": ("tests.end_to_end.dispatch.app:wsgi", "-k", "sync"),
    "sync-asyncio": ("tests.end_to_end.dispatch.app:wsgi", "-k", "sync", "--loop", "asyncio"),
    "thread": ("tests.end_to_end.dispatch.app:wsgi", "-k", "thread", "--threads", "4"),
    "asgi": KINDS["asgi"],
}


@dataclass
class Load:
    """Clients that keep their connections and ask again and again."""

    port: int
    answers: int = 0
    counted: asyncio.Condition = field(default_factory=asyncio.Condition)

    @contextlib.asynccontextmanager
    async def running(self, clients: int) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(self._client()) for _ in range(clients)]
        yield
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def until(self, answers: int) -> None:
        async with self.counted:
            await self.counted.wait_for(lambda: self.answers >= answers)

    async def _client(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            while True:
                await ask(reader, writer)
                async with self.counted:
                    self.answers += 1
                    self.counted.notify_all()
        finally:
            writer.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Which process answers."""
    writer.write(WORK)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(await reader.readexactly(length))


async def come(load: Load) -> int:
    """A new client; how many answers the kept ones have had before its own."""
    before = load.answers
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
    await ask(reader, writer)
    writer.close()
    return load.answers - before


async def newcomers(port: int) -> list[int]:
    """What each of them waited, in answers of others; of those that had theirs in time."""
    load = Load(port)
    async with asyncio.timeout(DEADLINE), load.running(KEPT):
        await load.until(BEFORE)
        clients = [asyncio.ensure_future(come(load)) for _ in range(NEW)]
        enough = asyncio.ensure_future(load.until(BEFORE + 2 * MOST))
        answered = asyncio.gather(*clients)
        await asyncio.wait((answered, enough), return_when=asyncio.FIRST_COMPLETED)
        waits = [each.result() for each in clients if each.done()]
        enough.cancel()
        answered.cancel()
        await asyncio.gather(answered, *clients, enough, return_exceptions=True)
        return waits


@pytest.mark.parametrize("kind", SATURATED)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_new_connections_wait_as_kept_ones_do(tmp_path: Path, kind: str, workers: str) -> None:
    with Server(*SATURATED[kind], "-w", workers, directory=tmp_path) as server:
        waits = asyncio.run(newcomers(server.port))
        print(kind, workers, sorted(waits))
        assert len(waits) == NEW
        assert max(waits) <= MOST


ASKED, MISSED = 20, 5  # the machine may keep the free one from its turn
FEW = 12  # clients that keep one thread busy


@pytest.mark.parametrize("policy", ["least", "shared"])
def test_a_saturated_worker_leaves_them_to_a_free_one(tmp_path: Path, policy: str) -> None:
    """Though the free one has more connections. What saturates it is not given away here."""
    options = ("-w", "2", "--threads", "1", "--dispatch", policy, "--timeout", "0")
    options = (*options, "--busy-after", "0")
    with Server(
        "tests.end_to_end.dispatch.app:wsgi", "-k", "thread", *options, directory=tmp_path
    ) as server:
        busy, free = server.workers()
        with contextlib.ExitStack() as stack:
            with suspended(busy):
                for _ in range(FEW * 2):
                    idle = stack.enter_context(connect(server.port, b"/"))
                    assert answer(idle) == free.pid
            pids = asyncio.run(who_answers(server.port, free))
        print(policy, pids.count(free.pid))
        assert pids.count(free.pid) >= ASKED - MISSED


@contextlib.contextmanager
def suspended(worker: psutil.Process) -> Iterator[None]:
    worker.suspend()
    try:
        yield
    finally:
        worker.resume()


async def who_answers(port: int, free: psutil.Process) -> list[int]:
    """New clients, one after another, while the other worker is saturated."""
    load = Load(port)
    async with asyncio.timeout(DEADLINE), contextlib.AsyncExitStack() as stack:
        with suspended(free):
            await stack.enter_async_context(load.running(FEW))
            await load.until(BEFORE)
        pids = []
        for _ in range(ASKED):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            pids.append(await ask(reader, writer))
            writer.close()
            await load.until(load.answers + 1)
        return pids


def test_at_the_end_of_the_port_a_saturated_worker_answers_all_that_wait(tmp_path: Path) -> None:
    options = ("-k", "thread", "--threads", "1")
    with Server("tests.end_to_end.dispatch.app:wsgi", *options, directory=tmp_path) as server:
        clients = [connect(server.port, b"/work?ms=20") for _ in range(2 * KEPT)]
        for number, each in enumerate(clients):
            with each:
                assert answer(each)
            if not number:
                server.signal(signal.SIGTERM)
        assert server.wait() == 0
