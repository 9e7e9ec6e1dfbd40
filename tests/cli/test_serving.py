"""The real command as it serves: what it was started with, and what a reload makes of the file."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.server import Server as FullServer
from tests.harness.server import environment

APP = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["COLOUR"].encode()]
"""


class Server:
    """pyfork in a directory of its own, on a unix socket there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        (directory / "shop.py").write_text(APP)
        self.colour("red")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pyfork", "shop:app", "-b", "unix:socket"],
                cwd=directory,
                env=environment(),
                stderr=log,
            )

    def colour(self, name: str) -> None:
        (self.directory / "pyfork.toml").write_text(f'env = {{ COLOUR = "{name}" }}\n')

    def answer(self) -> bytes:
        """What the app says now; empty if nobody listens."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            try:
                client.connect(os.path.relpath(self.directory / "socket"))
            except OSError:
                return b""
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with client.makefile("rb") as stream:
                return stream.read().rpartition(b"\r\n\r\n")[2]

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    if server.process.poll() is None:
        server.process.kill()  # its workers see it and leave
        server.process.wait()


def test_a_reload_reads_the_file_again_and_a_mistake_there_changes_nothing(
    server: Server,
) -> None:
    server.until(lambda: server.answer() == b"red")
    server.colour("blue")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: server.answer() == b"blue")

    (server.directory / "pyfork.toml").write_text("workrs = 2\n")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: "did you mean workers?" in server.log.read_text())
    assert server.answer() == b"blue"

    server.process.terminate()
    assert server.process.wait(20) == 0, server.log.read_text()


def test_the_log_says_what_was_bound_once_it_serves(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP.replace('os.environ["COLOUR"]', '"red"'))
    with FullServer(
        "shop:app", "-b", "0.0.0.0:0", "-b", "[::1]:0", directory=tmp_path, cwd=tmp_path
    ) as it:
        it.wait_log("is serving")
        port, other = it.port, it.urls[1]
        lines = it.log.splitlines()
        assert f"is starting shop:app on http://0.0.0.0:{port}, {other} with 1 worker" in lines[0]
        (serving,) = (line for line in lines if "is serving" in line)
        assert (
            f"is serving shop:app on http://0.0.0.0:{port} (here http://127.0.0.1:{port}), {other} "
            "with 1 worker of class sync, after "
        ) in serving
        assert lines.index(serving) > lines.index(next(x for x in lines if "is ready after" in x))


def test_an_application_that_does_not_load_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("from flask import Flask, request\napp = Flask('shop')\n")
    with FullServer(
        "shop:nope", "-w", "2", directory=tmp_path, cwd=tmp_path, ready=False
    ) as server:
        assert server.wait() == 3
    (line,) = (line for line in server.log.splitlines() if "nope" in line and "start" not in line)
    assert line.endswith(
        "pyfork gives up: cannot load shop:nope: no attribute 'nope' in shop; there is app (Flask)"
    )
