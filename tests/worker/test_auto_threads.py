"""``--threads auto``: as many threads as block at a time, and no more."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyfork.worker.wsgi.auto_threads import AutoThreads, may_grow, most_threads
from tests.harness.client import Wire, request
from tests.harness.server import PATIENCE, Server

MOST = 5


@dataclass
class Work:
    """A job."""

    call: Callable[[], object]
    done: Callable[[], object] = lambda: None
    context: Context = field(default_factory=copy_context)
    thread: int = 0

    def serve(self) -> None:
        self.call()

    def served(self) -> None:
        self.done()


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not found():
            await asyncio.sleep(0.005)


def names() -> set[str]:
    return {each.name for each in threading.enumerate() if each.name.startswith("pyfork_")}


def test_the_pool_grows_while_jobs_block_and_shrinks_when_idle() -> None:
    async def run() -> None:
        loop, changes, ended = asyncio.get_running_loop(), [], []
        pool: AutoThreads
        pool = AutoThreads(loop, MOST, lambda: changes.append(pool.full), lambda: None, unused=0.2)
        gate = threading.Event()
        met = threading.Barrier(MOST + 1)
        for _ in range(MOST):
            pool.run(Work(lambda: met.wait(PATIENCE), lambda: ended.append(1)))
        await asyncio.to_thread(met.wait, PATIENCE)  # so all of them run at once
        assert changes[:1] == [True]  # a further one would have to wait
        pool.run(Work(gate.wait, lambda: ended.append(1)))
        pool.run(Work(gate.wait, lambda: ended.append(1)))
        await until(lambda: len(ended) == MOST)
        assert changes[-1] is False
        assert len(names()) <= MOST
        gate.set()
        await until(lambda: len(ended) == MOST + 2)
        await until(lambda: len(names()) == 1)
        pool.run(Work(lambda: None, lambda: ended.append(1)))
        await until(lambda: len(ended) == MOST + 3)
        pool._pool.resize(0)
        await until(lambda: not names())

    asyncio.run(run())


def test_a_lock_that_is_taken_is_no_reason_to_grow() -> None:
    assert may_grow(computed=0.001, passed=0.005)
    assert not may_grow(computed=0.0049, passed=0.005)  # one thread computes, or would
    assert not may_grow(computed=0.02, passed=0.005)


def test_a_server_has_threads_for_requests_that_block(tmp_path: Path) -> None:
    """Each waits until all of them run."""
    (tmp_path / "meeting.py").write_text(
        "import threading\n"
        f"met = threading.Barrier({MOST})\n"
        "def app(environ, start_response):\n"
        "    if environ['PATH_INFO'] == '/meet':\n"
        f"        met.wait({PATIENCE})\n"
        "    start_response('204 No Content', [('X-Threads', str(threading.active_count()))])\n"
        "    return []\n"
    )
    with Server("meeting:app", "--threads", "auto", directory=tmp_path, cwd=tmp_path) as server:
        server.wait_log("of class thread")  # it follows the line of the last worker
        assert server.get("/").headers["x-threads"] == "2"
        wires: list[Any] = [Wire(server.port) for _ in range(MOST)]
        for wire in wires:
            wire.send(request("GET", "/meet"))
        assert [wire.read().status for wire in wires] == [204] * MOST
        for wire in wires:
            wire.close()


def test_the_bound() -> None:
    assert 5 <= most_threads() <= 32
