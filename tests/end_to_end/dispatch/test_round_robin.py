"""Connections that the arbiter has accepted, and no worker has taken yet."""

import signal
from pathlib import Path

import psutil

from pyfork.dispatch.round_robin import MAX_QUEUED
from tests.end_to_end.dispatch.clients import KINDS, Answers, answer, burst, connect
from tests.end_to_end.load.test_stop import queued
from tests.harness.server import Server

ROUND_ROBIN = ("--dispatch", "round-robin", "--timeout", "0")
CLIENTS = 12


def test_each_has_its_turn(tmp_path: Path) -> None:
    with Server(*KINDS["sync"], "-w", "3", *ROUND_ROBIN, directory=tmp_path) as server:
        pids = [burst(server.port, 1).pids[0] for _ in range(9)]
        assert pids == pids[:3] * 3
        assert set(pids) == {worker.pid for worker in server.workers()}


def test_a_worker_that_is_killed_loses_none(tmp_path: Path) -> None:
    """Both fd queues are full, so none is reclaimed. One worker is killed; the other goes on."""
    with Server(*KINDS["sync"], "-w", "2", *ROUND_ROBIN, directory=tmp_path) as server:
        killed, kept = server.workers()
        for worker in (killed, kept):
            suspend(server, worker)
        clients = [connect(server.port, b"/") for _ in range(2 * MAX_QUEUED + CLIENTS)]
        server.until(lambda: queued(server.port) == CLIENTS, "both fd queues are full")
        killed.kill()
        server.wait_log("killed by SIGKILL")
        kept.resume()
        for client in clients:
            assert answer(client) != killed.pid
            client.close()


def test_what_is_too_much_waits_in_the_kernel(tmp_path: Path) -> None:
    """The arbiter accepts no more than fits into fd queues."""
    with Server(*KINDS["sync"], "-w", "1", *ROUND_ROBIN, directory=tmp_path) as server:
        (worker,) = server.workers()
        suspend(server, worker)
        clients = [connect(server.port, b"/") for _ in range(40)]
        server.until(lambda: 0 < queued(server.port) < 40, "the arbiter has accepted some")
        worker.resume()
        for client in clients:
            assert answer(client) == worker.pid
            client.close()


def test_a_stop_leaves_none_behind(tmp_path: Path) -> None:
    """In fd queues and in the kernel there are whole requests when TERM comes."""
    with Server(*KINDS["sync"], "-w", "2", *ROUND_ROBIN, directory=tmp_path) as server:
        workers = server.workers()
        for worker in workers:
            suspend(server, worker)
        clients = [connect(server.port, b"/") for _ in range(100)]
        server.until(lambda: 0 < queued(server.port) < 100, "the arbiter has accepted some")
        server.signal(signal.SIGTERM)
        server.wait_log("graceful stop")
        for worker in workers:
            worker.resume()
        for client in clients:
            assert answer(client) in {worker.pid for worker in workers}
            client.close()
        assert server.wait() == 0


def test_a_worker_that_leaves_by_itself_loses_none(tmp_path: Path) -> None:
    """TERM from outside, of which the arbiter knows nothing."""
    with Server(*KINDS["sync"], "-w", "2", *ROUND_ROBIN, directory=tmp_path) as server:
        leaving, _ = server.workers()
        suspend(server, leaving)
        clients = [connect(server.port, b"/") for _ in range(4)]
        leaving.terminate()
        leaving.resume()
        answers: Answers = burst(server.port, CLIENTS)
        assert len(answers.pids) == CLIENTS
        for client in clients:
            answer(client)
            client.close()


def suspend(server: Server, worker: psutil.Process) -> None:
    """Stop a worker, and wait until it is."""
    worker.suspend()
    server.until(lambda: worker.status() == psutil.STATUS_STOPPED, "the worker is stopped")
