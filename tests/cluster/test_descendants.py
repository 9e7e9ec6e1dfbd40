"""Processes that a script starts: they share its port, and nothing outlives the worker."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.cluster.test_bind import write
from tests.harness.ports import free_port
from tests.harness.script import Script, ask


@pytest.mark.parametrize("policy", ["shared", "least", "round-robin"])
def test_a_spawned_process_accepts_on_it(policy: str, tmp_path: Path) -> None:
    """uvicorn.run(workers=2) passes one: Kludex/uvicorn#533, #315."""
    text = """
import multiprocessing, sys
def accepting(listener):
    print("child", os.getpid(), type(listener) is socket.socket, flush=True)
    listener.setblocking(True)
    serve(listener)
if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    child = multiprocessing.get_context("spawn").Process(target=accepting, args=(listener,))
    child.start()
    child.join()
"""
    script, port = write(tmp_path, text), free_port()
    options = ["--dispatch", policy]
    with Script(script, str(port), workers=2, options=options, directory=tmp_path) as running:
        running.until(lambda: running.out.count("True") == 2, "the children run")
        children = {int(line.split()[1]) for line in running.out.splitlines()}
        answers: set[int] = set()
        running.until(lambda: answers.add(ask(port)) or answers == children, "both answer")


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_a_child_binds_as_the_script_would(method: str, tmp_path: Path) -> None:
    """aiohttp-devtools starts its server so."""
    text = """
import multiprocessing, sys
def serving(port):
    global TEXT
    TEXT = f"{os.getpid()}\\n".encode()
    print("child", os.getpid(), flush=True)
    serve(socket.create_server(("127.0.0.1", port)))
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    child = context.Process(target=serving, args=(int(sys.argv[1]),))
    child.start()
    child.join()
"""
    script, port = write(tmp_path, text), free_port()
    with Script(script, str(port), method, workers=2, directory=tmp_path) as running:
        children = children_of(running, 2)
        running.until(lambda: "listens on" in running.log, "it listens")
        answers: set[int] = set()
        running.until(lambda: answers.add(ask(port)) or answers == children, "both answer")
        assert "cannot be shared" not in running.log
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        # The server of forkserver may need a moment to see that its process is gone.
        assert "was killed" not in running.log or method == "forkserver"


def children_of(running: Script, count: int) -> set[int]:
    running.until(lambda: running.out.count("child") == count, "the children run")
    return {int(line.split()[1]) for line in running.out.splitlines() if line.startswith("child")}


CHILDREN = """
import multiprocessing, signal, subprocess, sys
def waiting():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("child", os.getpid(), flush=True)
    threading.Event().wait()
if __name__ == "__main__":
    start(socket.create_server(("127.0.0.1", 0)))
    for method in ("fork", "spawn"):
        multiprocessing.get_context(method).Process(target=waiting, daemon=True).start()
    if os.fork() == 0:
        waiting()
    subprocess.Popen(["sleep", "1000"])
    print("ready", flush=True)
"""


def test_nothing_outlives_a_worker_that_is_killed(tmp_path: Path) -> None:
    script = write(tmp_path, CHILDREN)
    options = ["--graceful-timeout", "1"]
    with Script(script, workers=1, options=options, directory=tmp_path) as running:
        children = children_of(running, 3)
        running.until(lambda: "ready" in running.out, "the other program runs")
        (other,) = [each for each in running.processes() if each.name() == "sleep"]
        os.kill(min(running.pids()), signal.SIGKILL)
        running.until(lambda: not any(map(psutil.pid_exists, children)), "they are gone")
        running.until(lambda: not other.is_running(), "the other program is gone")


def test_multiprocessing_speaks_with_its_own_children(tmp_path: Path) -> None:
    """By socket files that are no servers of the script's."""
    text = """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.Manager() as manager:
        print("child", len(manager.list([1, 2])), flush=True)
        start(socket.create_server(("127.0.0.1", 0)))
        threading.Event().wait()
"""
    with Script(write(tmp_path, text), workers=2, directory=tmp_path) as running:
        assert running.log.count("listens on") == 1


def test_nothing_outlives_a_worker_that_leaves(tmp_path: Path) -> None:
    """Also another program, and what does not hear SIGTERM."""
    script = write(tmp_path, CHILDREN)
    options = ["--graceful-timeout", "2"]
    with Script(script, workers=1, options=options, directory=tmp_path) as running:
        children_of(running, 3)
        running.until(lambda: "ready" in running.out, "the other program runs")
        before = running.processes()
        assert len(before) >= 5
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        running.until(lambda: not any(each.is_running() for each in before), "all have ended")
        assert "which it has started, did not end and was killed" in running.log
