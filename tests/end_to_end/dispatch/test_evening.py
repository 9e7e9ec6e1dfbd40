"""Connections are spread evenly, also those that were there before."""

import random
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from pyfork.dispatch.evening import surplus
from tests.end_to_end.dispatch.clients import KINDS, REQUEST, answer, connect
from tests.harness.server import Server

EVEN = 5.0  # seconds: it takes one, and the machine does other things too


@pytest.mark.parametrize(
    ("counts", "given"),
    [
        ([6, 6, 6, 6], [0, 0, 0, 0]),
        ([24, 0, 0, 0], [18, 0, 0, 0]),
        ([7, 6, 6, 6], [0, 0, 0, 0]),
        ([7, 7, 6, 5], [1, 0, 0, 0]),
        ([8, 8, 8, 0], [2, 2, 2, 0]),
        ([1, 0], [0, 0]),
        ([5], [0]),
    ],
)
def test_what_a_worker_gives_away(counts: list[int], given: list[int]) -> None:
    assert [surplus(place, counts) for place in range(len(counts))] == given


def test_shares_come_to_differ_by_one_at_most() -> None:
    chance = random.Random(1)
    for _ in range(300):
        counts = [chance.randrange(20) for _ in range(chance.randrange(1, 9))]
        for _ in range(8):
            given = [surplus(place, counts) for place in range(len(counts))]
            counts = [own - less for own, less in zip(counts, given, strict=True)]
            for _ in range(sum(given)):
                counts[counts.index(min(counts))] += 1
        assert max(counts) - min(counts) <= 1


@contextmanager
def idle(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Connections that are opened at once, and idle behind an answer."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server.port, b"/")) for _ in range(count)]
        for client in clients:
            answer(client)
        yield clients


def shares(server: Server) -> list[int]:
    """How many connections each worker has."""
    counts = []
    for worker in server.workers():
        with suppress(psutil.NoSuchProcess):
            sockets = worker.net_connections("tcp")
            counts.append(sum(each.status == "ESTABLISHED" for each in sockets))
    return sorted(counts)


def wait_even(server: Server, expected: list[int]) -> None:
    server.until(lambda: shares(server) == expected, f"shares are {expected}", EVEN)


@pytest.mark.parametrize("kind", ["sync", "asgi"])
def test_idle_connections_even_out(tmp_path: Path, kind: str) -> None:
    """At the start, behind a kill, more workers, and a reload; no client notices."""
    with (
        Server(*KINDS[kind], "-w", "4", directory=tmp_path) as server,
        idle(server, 24) as clients,
    ):
        wait_even(server, [6, 6, 6, 6])
        gone = server.workers()[0]
        mine = [client for client in clients if ask(client) == gone.pid]
        gone.kill()
        gone.wait()
        left = [client for client in clients if client not in mine]
        server.until(lambda: len(server.workers()) == 4, "there are four again")
        wait_even(server, [4, 4, 5, 5])
        server.signal(signal.SIGTTIN)
        wait_even(server, [3, 3, 4, 4, 4])
        server.signal(signal.SIGHUP)
        server.wait_log("generation 1, pid", 4 + 1 + 2 + 5)  # as many have left
        wait_even(server, [4, 4, 5, 5])  # a reload brings back what --workers says
        assert len({ask(client) for client in left}) == 4


def ask(client: socket.socket) -> int:
    client.sendall(REQUEST % b"/")
    return answer(client)
