"""Scripts that listen, fork, and accept in their children, with every dispatch policy."""

import importlib.util
import os
import signal
import socket
from pathlib import Path

import psutil
import pytest

from tests.cluster import prefork_script
from tests.harness.ports import free_port
from tests.harness.script import Script, ScriptLoad
from tests.harness.server import PATIENCE

SCRIPT = str(Path(prefork_script.__file__))
POLICIES = ["shared", "least", "round-robin", "reuseport"]
WORKERS = 2
QUICK = [("blocking", "round-robin")]
PACKAGES = {"tornado", "uvloop"}


def run(kind: str, policy: str, directory: Path, *options: str) -> tuple[Script, int]:
    if kind in PACKAGES and importlib.util.find_spec(kind) is None:
        pytest.skip(f"{kind} is not installed")
    port = free_port()
    given = ["--dispatch", policy, *options]
    running = Script(SCRIPT, kind, str(port), workers=WORKERS, options=given, directory=directory)
    return running, port


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        pytest.param(kind, policy, marks=[] if (kind, policy) in QUICK else pytest.mark.soak)
        for kind in prefork_script.KINDS
        for policy in POLICIES
    ],
)
def test_a_reload_and_a_stop_lose_nothing(kind: str, policy: str, tmp_path: Path) -> None:
    running, port = run(kind, policy, tmp_path)
    each = prefork_script.CHILDREN + (kind == "parent too")
    with running:
        old = running.pids()
        with ScriptLoad(port, clients=6) as load:
            running.until(lambda: len(load.answers) == WORKERS * each, "all processes answer")
            first = set(load.answers)
            assert bool(first & old) is (kind == "parent too")
            running.signal(signal.SIGHUP)
            running.wait_ready(2)
            running.wait_left(1)
            after = load.answers.copy()
            running.until(
                lambda: len(set(load.answers) - first) == WORKERS * each,
                "all processes of the new generation answer",
            )
        assert not load.failures
        assert all(load.answers[pid] == after[pid] for pid in first), "an old one has answered"
        with ScriptLoad(port, clients=6) as load:
            running.until(lambda: len(load.answers) > 1, "they answer")
            running.signal(signal.SIGTERM)
            assert running.wait() == 0
        assert all("Refused" in failure for failure in load.failures), load.failures
        assert "Traceback" not in running.log


@pytest.mark.parametrize("policy", [POLICIES[2], pytest.param("reuseport", marks=pytest.mark.soak)])
def test_the_death_of_a_worker_and_of_a_child(policy: str, tmp_path: Path) -> None:
    """What waits for a worker goes to the children of another, which were forked before."""
    running, port = run("blocking", policy, tmp_path)
    with running:
        killed, left = (psutil.Process(pid) for pid in sorted(running.pids()))
        with ScriptLoad(port, clients=6) as load:
            running.until(lambda: len(load.answers) == 4, "all processes answer")
            child = left.children()[0]
            child.kill()
            running.until(lambda: not child.is_running(), "the child is dead")
            os.kill(killed.pid, signal.SIGKILL)
            running.until(lambda: running.log.count("is ready") == 3, "it is replaced")
            (new,) = running.pids() - {left.pid}
            running.until(
                lambda: {each.pid for each in psutil.Process(new).children()} & set(load.answers),
                "a child of the new one answers",
            )
        assert not [each for each in load.failures if "Refused" in each]
        # each of the three may have been in the middle of one request
        assert len(load.failures) <= 3, load.failures


def test_a_listener_that_a_child_closes_stays_open(tmp_path: Path) -> None:
    """A process for each connection closes its copy of the listener first."""
    port = free_port()
    (tmp_path / "server.py").write_text(f"""
import os, signal, socket
listener = socket.create_server(("127.0.0.1", {port}))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    connection, _ = listener.accept()
    with connection:
        if not os.fork():
            listener.close()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n%d" % os.getppid())
            connection.shutdown(socket.SHUT_RDWR)
            os._exit(0)
""")
    options = ["--dispatch", "least"]
    with Script("server.py", workers=2, options=options, directory=tmp_path) as running:
        with ScriptLoad(port, clients=4) as load:
            running.until(lambda: set(load.answers) == running.pids(), "both answer")
            before = load.answers.copy()
            running.until(
                lambda: all(load.answers[pid] >= before[pid] + 10 for pid in running.pids()),
                "both go on",
            )
        assert not load.failures


@pytest.mark.parametrize("policy", ["shared", pytest.param("least", marks=pytest.mark.soak)])
def test_a_process_for_each_request_answers_it_in_a_reload(policy: str, tmp_path: Path) -> None:
    running, port = run("forking", policy, tmp_path)
    with running, socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(b"GET /1.5 HTTP/1.0\r\n\r\n")
        running.until(lambda: "begun" in running.out, "it is being answered")
        running.signal(signal.SIGHUP)
        with client.makefile("rb") as stream:
            assert int(stream.read().split()[-1]) not in running.pids()
        running.wait_left(1)


@pytest.mark.soak
def test_a_timeout_sees_a_child_accept(tmp_path: Path) -> None:
    """`--timeout` replaces a worker none of whose processes comes to accept."""
    running, port = run("blocking", "round-robin", tmp_path, "--timeout", "1")
    with running:
        old = running.pids()
        with ScriptLoad(port) as load:
            running.until(lambda: len(load.answers) == 4, "all processes answer")
        children = {pid: psutil.Process(pid).children() for pid in old}
        hung = min(old)
        for child in children[hung]:
            child.suspend()
        running.until(lambda: hung not in running.pids(), "it is replaced")
        assert running.pids() >= old - {hung}
        running.wait_log(f"pid {hung})")
