"""As process 1 of a process namespace of its own, as in a container."""

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests import programs
from tests.end_to_end.systemd.unit import Unit, deploy
from tests.harness.server import Server

UNSHARE = ("unshare", "--fork", "--kill-child", "--pid", "--mount-proc")
ORPHANS = """
import os, time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/orphan" and os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.2)
        os._exit(3)
    start_response("200 OK", [])
    return [b""]
"""


def refusal() -> str:
    """Why there can be no namespace; empty if there can."""
    if not programs.find("unshare"):
        return "there is no unshare"
    tried = subprocess.run([*_unshare(), "true"], capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else ""


def _unshare() -> tuple[str, ...]:
    return UNSHARE if os.geteuid() == 0 else (*UNSHARE, "--user", "--map-root-user")


pytestmark = pytest.mark.skipif(bool(refusal()), reason=f"no namespace: {refusal()}")


class Container(Unit):
    """A unit whose first process is init."""

    def __init__(self, *options: str, directory: Path) -> None:
        super().__init__(*options, manager=None, directory=directory)
        self._command = [*_unshare(), *self._command]

    @property
    def init(self) -> psutil.Process:
        """Process 1, as seen from outside."""
        return psutil.Process(self.pid).children()[0]

    def signal(self, number: int) -> None:
        """To process 1; unshare passes nothing on."""
        with suppress(psutil.NoSuchProcess, IndexError):
            self.init.send_signal(number)

    def _end(self) -> list[psutil.Process]:
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.wait()
        return super()._end()

    def workers(self) -> list[psutil.Process]:
        return self.init.children()


def test_term_ends_it(tmp_path: Path) -> None:
    with Container("-w", "2", directory=tmp_path) as container:
        assert "(pid 1) is starting" in container.log
        container.signal(signal.SIGTERM)
        assert container.wait() == 0
        assert "pyfork has stopped" in container.log


def test_orphans_are_reaped(tmp_path: Path) -> None:
    with Container("--log-level", "debug", directory=tmp_path) as container:
        (tmp_path / "shop.py").write_text(ORPHANS)
        container.signal(signal.SIGHUP)
        container.wait_log("left after")
        container.get("/orphan")
        container.wait_log("no worker: exit status 3")
        container.until(lambda: len(container.workers()) == 1, "only the worker is left")


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with Container(directory=tmp_path) as container:
        container.workers()[0].kill()
        container.wait_log("is ready", 2)
        assert container.get("/").status == 200


def test_an_upgrade_keeps_process_1(tmp_path: Path) -> None:
    with Container(directory=tmp_path) as container:
        before = container.init.pid
        deploy(tmp_path, "two")
        container.signal(signal.SIGUSR2)
        container.until(lambda: _text(container) == "two", "the new program serves")
        assert container.init.pid == before
        assert container.log.count("(pid 1) is starting") == 2


def _text(server: Server) -> str:
    with suppress(ConnectionError):
        return str(json.loads(server.get("/").body)["text"])
    return ""
