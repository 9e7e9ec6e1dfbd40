"""Who gets a connection, where scripts accept: every policy, in every kind of accept()."""

import asyncio
import importlib.util
import os
import signal
from pathlib import Path

import psutil
import pytest

from pyfork.dispatch.round_robin import MAX_QUEUED
from tests.cluster.test_bind import write
from tests.cluster.test_kinds import SCRIPT as SERVERS
from tests.cluster.test_kinds import outlives_a_death_and_a_reload
from tests.end_to_end.dispatch import test_kept as kept
from tests.end_to_end.dispatch.clients import answer, burst, connect, one_blocked
from tests.end_to_end.dispatch.test_blocked import CLIENTS, PROMPT
from tests.end_to_end.dispatch.test_burst import BURSTS, CONNECTIONS, ENOUGH, FAIR, WORKERS
from tests.end_to_end.load.test_stop import queued
from tests.harness.ports import free_port
from tests.harness.script import Script, ScriptLoad, ask

SCRIPT = str(Path(__file__).with_name("keepalive_script.py"))
POLICIES = ["least", "round-robin", "reuseport"]


def run(kind: str, policy: str, directory: Path, *, workers: int = WORKERS) -> tuple[Script, int]:
    if kind in ("uvloop", "gevent") and importlib.util.find_spec(kind) is None:
        pytest.skip(f"{kind} is not installed")
    script = SCRIPT if kind in ("asyncio", "uvloop", "threads", "plain") else SERVERS
    port = free_port()
    options = ["--dispatch", policy]
    running = Script(script, kind, str(port), workers=workers, options=options, directory=directory)
    return running, port


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("policy", ["least", "round-robin"])
def test_a_burst_is_spread_evenly(policy: str, kind: str, tmp_path: Path) -> None:
    running, port = run(kind, policy, tmp_path)
    with running:
        shares: list[list[int]] = []
        while len(shares) < BURSTS and sum(each[0] <= FAIR for each in shares) < ENOUGH:
            shares.append(burst(port, CONNECTIONS).shares)
            running.until(lambda: not clients(running, port), "all connections are closed")
        print(policy, kind, shares)
        assert sum(each[0] <= FAIR for each in shares) >= ENOUGH


@pytest.mark.parametrize(
    ("policy", "kind"), [("least", "asyncio"), ("shared", "plain"), ("round-robin", "asyncio")]
)
def test_nobody_waits_for_one_of_four(policy: str, kind: str, tmp_path: Path) -> None:
    running, port = run(kind, policy, tmp_path)
    with running, one_blocked(running, port) as blocked:
        answers = [burst(port, CLIENTS // 3) for _ in range(3)]
        print(policy, kind, [f"{each.longest:.3f}" for each in answers])
        assert max(each.longest for each in answers) < PROMPT
        assert not any(blocked in each.pids for each in answers)


def test_least_gives_every_worker_as_much_to_do(tmp_path: Path) -> None:
    running, port = run("asyncio", "least", tmp_path, workers=kept.WORKERS)
    with running:
        ratios: list[float] = []
        while len(ratios) < kept.ROUNDS and sum(e <= kept.EVEN for e in ratios) < kept.ENOUGH:
            ratios.append(asyncio.run(kept.load(port)))
        assert sum(each <= kept.EVEN for each in ratios) >= kept.ENOUGH


def test_each_has_its_turn(tmp_path: Path) -> None:
    running, port = run("plain", "round-robin", tmp_path, workers=3)
    with running:
        turns = [ask_plain(port) for _ in range(9)]
        assert turns == turns[:3] * 3
        assert set(turns) == running.pids()


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("http.server", "least"),
        ("uvloop", "round-robin"),
        ("gevent", "round-robin"),
        ("http.server", "reuseport"),
    ],
)
def test_a_death_and_a_reload_lose_nothing(kind: str, policy: str, tmp_path: Path) -> None:
    running, port = run(kind, policy, tmp_path, workers=3)
    with running:
        outlives_a_death_and_a_reload(running, port)


@pytest.mark.parametrize("mode", ["exec", "spawn"])
@pytest.mark.parametrize("policy", ["round-robin", "reuseport"])
def test_an_upgrade_loses_nothing(policy: str, mode: str, tmp_path: Path) -> None:
    port = free_port()
    script = write(tmp_path, f'start(socket.create_server(("127.0.0.1", {port})))')
    options = ["--dispatch", policy, "--upgrade-mode", mode]
    with Script(script, workers=2, options=options, directory=tmp_path) as running:
        old = running.pids()
        with ScriptLoad(port) as load:
            running.until(lambda: set(load.answers) == old, "both answer")
            running.signal(signal.SIGUSR2)
            running.until(lambda: set(load.answers) - old, "a new one answers")
            if mode == "spawn":
                assert running.wait() == 0
                running.until(lambda: len(running.arbiters()) == 1, "one arbiter is left")
                running.follow(running.arbiters()[0].pid)
            running.until(lambda: not running.pids() & old, "the old ones have left")
        assert not load.failures
        assert ask(port) in running.pids()


def test_what_lies_with_one_that_dies_goes_to_another(tmp_path: Path) -> None:
    """Both fd queues are full, so nothing was taken back before."""
    running, port = run("plain", "round-robin", tmp_path, workers=2)
    with running:
        killed, left = running.workers()
        for worker in (killed, left):
            suspend(running, worker)
        connections = [connect(port, b"/") for _ in range(2 * MAX_QUEUED + 12)]
        running.until(lambda: queued(port) == 12, "both fd queues are full")
        killed.kill()
        running.wait_log("killed by SIGKILL")
        left.resume()
        for each in connections:
            assert answer(each) != killed.pid
            each.close()


def test_what_lies_with_one_that_leaves_goes_to_another(tmp_path: Path) -> None:
    """It is blocked, and told to leave: what it has not accepted is not its own."""
    running, port = run("plain", "round-robin", tmp_path, workers=2)
    with running:
        for worker in running.workers():
            suspend(running, worker)
        connections = [connect(port, b"/") for _ in range(2 * MAX_QUEUED)]
        running.until(lambda: queued(port) == 0, "both fd queues are full")
        running.signal(signal.SIGTTOU)
        last = next(
            w for w in running.workers() if f"worker 1 (generation 1, pid {w.pid})" in running.log
        )
        kept_on = next(w for w in running.workers() if w.pid != last.pid)
        kept_on.resume()
        for each in connections:
            assert answer(each) == kept_on.pid
            each.close()
        last.resume()
        running.until(lambda: len(running.pids()) == 1, "it has left")


def test_what_lies_with_one_that_is_blocked_waits_for_it(tmp_path: Path) -> None:
    """At the end of the port there is nobody else."""
    running, port = run("plain", "round-robin", tmp_path, workers=1)
    with running:
        blocked = connect(port, b"/block?s=1.5")
        running.until(lambda: "blocked" in running.out, "the worker is blocked")
        connections = [connect(port, b"/") for _ in range(3)]
        running.until(lambda: queued(port) == 0, "they are in its fd queue")
        running.signal(signal.SIGTERM)
        for each in (blocked, *connections):
            assert answer(each)
            each.close()
        assert running.wait() == 0


def test_what_waits_for_an_arbiter_that_dies_is_answered(tmp_path: Path) -> None:
    running, port = run("plain", "round-robin", tmp_path, workers=1)
    running.clean = False
    with running:
        (worker,) = running.workers()
        suspend(running, worker)
        connections = [connect(port, b"/") for _ in range(MAX_QUEUED + 12)]
        running.until(lambda: queued(port) == 12, "the fd queue is full")
        os.kill(running.pid, signal.SIGKILL)
        worker.resume()
        for each in connections:
            assert answer(each) == worker.pid
            each.close()
        running.until(lambda: not running.processes(), "it has left")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_stop_leaves_none_behind(policy: str, tmp_path: Path) -> None:
    running, port = run("plain", policy, tmp_path, workers=2)
    with running:
        workers = running.workers()
        for worker in workers:
            suspend(running, worker)
        connections = [connect(port, b"/") for _ in range(60)]
        running.signal(signal.SIGTERM)
        running.wait_log("graceful stop")
        for worker in workers:
            worker.resume()
        for each in connections:
            assert answer(each) in {worker.pid for worker in workers}
            each.close()
        assert running.wait() == 0


def test_what_a_script_asks_of_its_listener(tmp_path: Path) -> None:
    """There is no listener under the descriptor any more."""
    text = """
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100000)
listener.listen(7)
copy = listener.dup()
copy.settimeout(0.01)
try:
    copy.accept()
except TimeoutError as error:
    print(error, flush=True)
copy.setblocking(False)
try:
    copy.accept()
except BlockingIOError as error:
    print("nothing", copy.getsockname()[1] == port, copy.family.name, flush=True)
copy.close()
print(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), listener.gettimeout(),
      listener.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 100000, flush=True)
other = socket.create_server(("127.0.0.1", 0))
other.close()
try:
    other.accept()
except OSError as error:
    print(error.errno, flush=True)
start(listener)
"""
    options = ["--dispatch", "round-robin"]
    with Script(write(tmp_path, text), workers=1, options=options, directory=tmp_path) as running:
        port = int(running.urls[0].rpartition(":")[2])
        running.until(lambda: running.out.count("\n") == 4, "it has asked")
        assert running.out.splitlines() == ["timed out", "nothing True AF_INET", "1 None True", "9"]
        assert ask(port) in running.pids()


def ask_plain(port: int) -> int:
    with connect(port, b"/") as client:
        return answer(client)


def clients(running: Script, port: int) -> bool:
    """Whether a worker has connections."""
    return any(
        each.status != psutil.CONN_LISTEN and each.laddr.port == port
        for worker in running.workers()
        for each in worker.net_connections("tcp")
    )


def suspend(running: Script, worker: psutil.Process) -> None:
    worker.suspend()
    running.until(lambda: worker.status() == psutil.STATUS_STOPPED, "the worker is stopped")
