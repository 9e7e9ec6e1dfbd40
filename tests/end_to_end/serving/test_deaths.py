"""Who dies under load, and what is lost by it."""

import os
import signal
import socket
import threading
from http.client import HTTPException
from pathlib import Path

import psutil
import pytest

from tests.harness.server import Server


class Load:
    """Clients in threads, each with a new connection for each request."""

    def __init__(self, server: Server, clients: int, target: str) -> None:
        self.done = 0
        self.lost: list[Exception] = []
        self._server = server
        self._target = target
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                assert self._server.get(self._target).body == b"slept"
                self.done += 1
            except (OSError, HTTPException) as error:
                self.lost.append(error)


def test_a_killed_worker_loses_what_it_was_at_and_no_more(tmp_path: Path) -> None:
    with Server("tests.apps.kinds:app", "-w", "4", directory=tmp_path) as server:
        with Load(server, clients=4, target="/sleeps?0.02") as load:
            for kills in range(1, 4):
                seen = load.done
                server.until(lambda seen=seen: load.done > seen + 50, "the load goes on")  # type: ignore[misc]
                victim = server.workers()[0]
                victim.kill()
                server.wait_log("killed by SIGKILL", kills)
                server.until(lambda: len(server.workers()) == 4, "it was replaced")
        # A sync worker is at one request; each of four clients has at most one on its way there.
        assert len(load.lost) <= 3 * 4, load.lost
        assert "in flight" in server.log


def test_when_the_arbiter_is_killed_the_port_is_free_within_3_seconds(tmp_path: Path) -> None:
    with Server("tests.apps.kinds:app", "-w", "4", directory=tmp_path) as server:
        port = server.port
        with Load(server, clients=4, target="/sleeps?0.02") as load:
            server.until(lambda: load.done > 50, "the load is on")
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
            server.until(lambda: not server.processes(), "no process is left", timeout=3.0)
        with socket.create_server(("127.0.0.1", port)):
            pass


@pytest.mark.parametrize("dispatch", ["least", "round-robin", "reuseport"])
def test_clients_that_come_and_come_do_not_keep_the_port_open(
    tmp_path: Path, dispatch: str
) -> None:
    """More of them than workers, so that the kernel's queue is never empty."""
    options = ("-w", "2", "--dispatch", dispatch, "--graceful-timeout", "60")
    with (
        Server("tests.apps.kinds:app", *options, directory=tmp_path) as server,
        Load(server, clients=12, target="/sleeps?0.02") as load,
    ):
        server.until(lambda: load.done > 50, "the load is on")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0  # long before the end of the graceful timeout


def test_the_tree_has_one_listening_socket(tmp_path: Path) -> None:
    with Server("tests.apps.kinds:app", "-w", "3", directory=tmp_path) as server:
        inodes = {process.pid: listening(process, server.port) for process in server.processes()}
        assert len(inodes) == 4
        assert all(len(each) == 1 for each in inodes.values())
        assert len(set.union(*inodes.values())) == 1


def listening(process: psutil.Process, port: int) -> set[str]:
    """Inodes of the sockets that listen on ``port`` and that ``process`` has open."""
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = [row.split() for row in table]
    there = {row[9] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    links = set()
    for fd in Path(f"/proc/{process.pid}/fd").iterdir():
        link = os.readlink(fd)
        if link.startswith("socket:["):
            links.add(link[8:-1])
    return there & links
