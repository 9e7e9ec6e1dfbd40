"""Every kind of server: three processes, one port, nobody refused."""

import importlib.util
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.servers import KINDS
from tests.harness.ports import free_port
from tests.harness.script import Script, ScriptLoad, ask
from tests.harness.server import PATIENCE

SCRIPT = str(Path(__file__).with_name("servers.py"))


@pytest.fixture(params=KINDS)
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Script, int]]:
    package = KINDS[request.param][1]
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    port = free_port()
    with Script(SCRIPT, request.param, str(port), directory=tmp_path) as running:
        yield running, port


def test_it_is_one_server_of_three_processes(script: tuple[Script, int]) -> None:
    running, port = script
    outlives_a_death_and_a_reload(running, port)
    assert "cannot be shared" not in running.log


def outlives_a_death_and_a_reload(running: Script, port: int) -> None:
    """Three processes answer, and no client notices what becomes of them."""
    pids = running.pids()
    assert len(pids) == 3
    with ScriptLoad(port, clients=6) as load:
        running.until(lambda: set(load.answers) == pids, "all three answer")

        # Nobody is refused while one is gone, and its place is taken.
        victim = min(pids)
        os.kill(victim, signal.SIGKILL)
        new = running.until(lambda: running.pids() - pids, "there is another one")
        running.until(lambda: set(load.answers) & new, "it answers")
    # The one request that the victim was in the middle of, for each client, may be lost.
    assert not [each for each in load.failures if "Refused" in each]
    assert len(load.failures) <= 6, load.failures

    # A reload replaces all three, and nobody notices.
    old = running.pids()
    with ScriptLoad(port) as load:
        running.signal(signal.SIGHUP)
        running.wait_ready(2)
        running.until(lambda: not running.pids() & old, "the old ones have left")
        running.until(lambda: running.pids() <= set(load.answers), "the new ones answer")
    assert not load.failures
    assert "Traceback" not in running.log


def test_datagrams(tmp_path: Path) -> None:
    port = free_port(kind=socket.SOCK_DGRAM)
    with Script(SCRIPT, "datagram", str(port), directory=tmp_path) as running:
        pids = running.pids()
        with Datagrams(port) as load:
            running.until(lambda: set(load.answers) == pids, "all three answer")
            victim = min(pids)
            os.kill(victim, signal.SIGKILL)
            new = running.until(lambda: running.pids() - pids, "there is another one")
            running.until(lambda: set(load.answers) & new, "it answers")
        assert len(load.failures) <= 1  # what the victim had read

        old = running.pids()
        with Datagrams(port) as load:
            running.signal(signal.SIGHUP)
            running.wait_ready(2)
            running.until(lambda: not running.pids() & old, "the old ones have left")
            running.until(lambda: running.pids() <= set(load.answers), "the new ones answer")
        assert not load.failures


class Datagrams(ScriptLoad):
    """Clients that send a datagram and wait for its answer."""

    def _run(self, port: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", port))
            while not self.over.is_set():
                try:
                    client.send(b"?")
                    self.answers[int(client.recv(100))] += 1
                except OSError as error:
                    self.failures.append(repr(error))


def test_what_is_queued_survives_the_death_of_all(tmp_path: Path) -> None:
    port = free_port()
    with Script(SCRIPT, "socket", str(port), directory=tmp_path) as running:
        pids = running.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        waiting = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(8)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for connection in waiting:
            connection.sendall(b"?")
        answers = {int(each.recv(1000).split()[-1]) for each in waiting}
        for connection in waiting:
            connection.close()
        assert not answers & pids
        assert ask(port) in running.pids()
