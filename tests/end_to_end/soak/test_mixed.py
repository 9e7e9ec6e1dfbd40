"""Quick and slow requests, while busy workers give connections away and all else happens, too."""

import asyncio
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bench.mixed import Figures, load
from tests.end_to_end.dispatch.clients import KINDS
from tests.harness.load_site import seed
from tests.harness.server import Server

pytestmark = [pytest.mark.soak, pytest.mark.timeout(120)]

SECONDS = 30
WORKERS = 4


def run(server: Server, step: Callable[[], None], every: float) -> Figures:
    """The load, with a step every so many seconds."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(lambda: asyncio.run(load(server.port, SECONDS)))
        until = time.monotonic() + SECONDS
        while time.monotonic() + every < until:
            time.sleep(every)
            step()
        figures = done.result()
    print(figures)
    return figures


def assert_nothing_leaks(server: Server, before: int) -> None:
    """A worker has no more files than a quiet one, its helper's pipe, and one that opens late."""
    server.until(lambda: len(server.workers()) == WORKERS, "as many workers as ever")
    counts = [worker.num_fds() for worker in server.workers()]
    assert max(counts) - min(counts) <= 2
    assert max(counts) <= before + 3


def served(tmp_path: Path, *options: str) -> Server:
    return Server(*KINDS["sync"], "-w", str(WORKERS), *options, directory=tmp_path)


def test_reloads(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        before, arbiter = server.workers()[0].num_fds(), fds(server)
        figures = run(server, lambda: server.signal(signal.SIGHUP), SECONDS / 11)
        assert figures.errors == []
        assert_nothing_leaks(server, before)
        server.until(lambda: fds(server) == arbiter, "the arbiter has no more files than before")


def test_upgrades(tmp_path: Path) -> None:
    with served(tmp_path, "--upgrade-mode", "exec") as server:
        before = server.workers()[0].num_fds()
        figures = run(server, lambda: server.signal(signal.SIGUSR2), SECONDS / 6)
        assert figures.errors == []
        assert "generation 5" in server.log
        assert_nothing_leaks(server, before)


def test_kills(tmp_path: Path) -> None:
    """What is lost is what the killed worker had, and no more."""
    chance, killed = random.Random(seed()), []
    with served(tmp_path) as server:
        before = server.workers()[0].num_fds()

        def kill() -> None:
            victim = chance.choice(server.workers())
            killed.append(sum(each.status == "ESTABLISHED" for each in victim.net_connections()))
            victim.kill()

        figures = run(server, kill, 2.0)
        assert len(figures.errors) <= sum(killed) + len(killed)
        assert_nothing_leaks(server, before)


def fds(server: Server) -> int:
    return sum(arbiter.num_fds() for arbiter in server.arbiters())
