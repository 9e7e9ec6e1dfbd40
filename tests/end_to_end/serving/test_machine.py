"""Machines that misbehave: one that sleeps, and a worker that even SIGKILL does not end."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.serving.fuse import Hanging
from tests.harness.server import Server

APP = """
import os, time
def app(environ, start_response):
    if environ["PATH_INFO"] == "/hangs":
        open("hanging/file")
    if environ["PATH_INFO"] == "/sleeps":
        time.sleep(1)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "machine.py").write_text(APP)
    return tmp_path


# A machine that sleeps, as a laptop or a paused container.


@pytest.mark.parametrize(
    ("seconds", "first"),
    [
        (3.5, "arbiter"),
        (3.5, "workers"),
        pytest.param(60.0, "arbiter", marks=[pytest.mark.soak, pytest.mark.timeout(120)]),
        pytest.param(60.0, "workers", marks=[pytest.mark.soak, pytest.mark.timeout(120)]),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_a_sleep_is_no_fault_of_the_workers(
    project: Path, kind: str, seconds: float, first: str
) -> None:
    """Longer than --timeout, and whoever wakes first. A request that runs goes on."""
    options = ("-w", "2", "-k", kind, "--timeout", "2")
    with Server("machine:app", *options, directory=project, cwd=project) as server:
        arbiter, workers = psutil.Process(server.pid), server.workers()
        connection = server.connect()
        connection.request("GET", "/sleeps")
        time.sleep(0.2)  # it is under way
        tree = [arbiter, *workers]
        for each in tree:
            each.suspend()
        time.sleep(seconds)
        for each in tree if first == "arbiter" else reversed(tree):
            each.resume()
            time.sleep(0.1)
        assert connection.getresponse().read() == b"ok"
        connection.close()
        assert server.get("/").body == b"ok"
        time.sleep(1.5)  # the moment that each worker has is over
        assert server.workers() == workers
        assert "ERROR" not in server.log


# A worker in the kernel.


@pytest.fixture
def hanging(project: Path) -> Iterator[Hanging]:
    place = project / "hanging"
    place.mkdir()
    try:
        made = Hanging(place)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    with closing(made):
        yield made


def test_a_worker_that_nothing_ends_is_replaced_and_forgotten(
    project: Path, hanging: Hanging
) -> None:
    options = ("-w", "2", "--timeout", "1", "--graceful-timeout", "1")
    with Server("machine:app", *options, directory=project, cwd=project) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n")
            stuck = psutil.Process(hanging.take())
            server.wait_log("hangs: gave no sign of life")
            server.wait_log(") is ready", 3)
            assert stuck.status() == psutil.STATUS_DISK_SLEEP
            assert {server.get("/").status for _ in range(20)} == {200}
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert time.monotonic() - begun < 8.0
        assert stuck.status() == psutil.STATUS_DISK_SLEEP
        hanging.close()
        server.until(lambda: not server.processes(), "the kernel has let it go")


def test_a_worker_that_is_stopped_is_killed(project: Path) -> None:
    """As a debugger does it: it cannot write its stacks, and SIGKILL ends it."""
    options = ("--timeout", "1")
    with Server("machine:app", *options, directory=project, cwd=project) as server:
        (worker,) = server.workers()
        os.kill(worker.pid, signal.SIGSTOP)
        server.wait_log("hangs: gave no sign of life")
        server.wait_log(") is ready", 2)
        assert server.get("/").body == b"ok"
