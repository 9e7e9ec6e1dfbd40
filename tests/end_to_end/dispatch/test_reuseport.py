"""A queue of each slot's own: what is queued there outlives the worker."""

import signal
import socket
from pathlib import Path

from tests.end_to_end.dispatch.clients import KINDS, answer, burst, connect
from tests.end_to_end.dispatch.test_round_robin import suspend
from tests.harness.server import Server

REUSEPORT = ("--dispatch", "reuseport", "--timeout", "0")
CLIENTS = 60


def test_every_worker_has_a_queue(tmp_path: Path) -> None:
    with Server(*KINDS["sync"], "-w", "4", *REUSEPORT, directory=tmp_path) as server:
        queues(server, 4)
        pids = {worker.pid for worker in server.workers()}
        assert set(burst(server.port, CLIENTS).pids) == pids


def test_what_is_queued_outlives_the_worker(tmp_path: Path) -> None:
    with Server(*KINDS["sync"], "-w", "3", *REUSEPORT, directory=tmp_path) as server:
        queues(server, 3)
        worker = server.workers()[1]
        suspend(server, worker)
        clients = [connect(server.port, b"/") for _ in range(CLIENTS)]
        worker.kill()
        assert worker.pid not in answers(clients)


def test_what_is_queued_outlives_the_slot(tmp_path: Path) -> None:
    """Others empty the queue while the worker that is to go does nothing."""
    with Server(*KINDS["sync"], "-w", "3", *REUSEPORT, directory=tmp_path) as server:
        queues(server, 3)
        last = next(
            w for w in server.workers() if f"worker 2 (generation 1, pid {w.pid})" in server.log
        )
        suspend(server, last)
        clients = [connect(server.port, b"/") for _ in range(CLIENTS)]
        server.signal(signal.SIGTTOU)
        assert last.pid not in answers(clients)
        last.resume()
        server.until(lambda: len(server.workers()) == 2, "it has left")
        assert len(burst(server.port, CLIENTS).pids) == CLIENTS
        server.signal(signal.SIGTTIN)
        server.until(
            lambda: len(set(burst(server.port, CLIENTS).pids)) == 3, "a third serves again"
        )


def test_a_stop_leaves_none_behind(tmp_path: Path) -> None:
    with Server(*KINDS["sync"], "-w", "3", *REUSEPORT, directory=tmp_path) as server:
        queues(server, 3)
        workers = server.workers()
        for worker in workers:
            suspend(server, worker)
        clients = [connect(server.port, b"/") for _ in range(CLIENTS)]
        server.signal(signal.SIGTERM)
        server.wait_log("graceful stop")
        for worker in workers:
            worker.resume()
        assert answers(clients) == {worker.pid for worker in workers}
        assert server.wait() == 0


def queues(server: Server, count: int) -> None:
    """Wait until the port has so many queues."""
    port = f":{server.port:04X} "

    def found() -> bool:
        lines = Path("/proc/net/tcp").read_text().splitlines()
        return sum(port in line and " 0A " in line for line in lines) == count

    server.until(found, f"there are {count} queues")
    for _ in range(3):  # and who has the last one minds it
        burst(server.port, CLIENTS)


def answers(clients: list[socket.socket]) -> set[int]:
    """Who answers."""
    pids = set()
    for client in clients:
        pids.add(answer(client))
        client.close()
    return pids
