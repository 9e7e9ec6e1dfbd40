"""A site whose server can be upgraded in every way that there is."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness.server import Server
from tests.harness.site import Site

MODES = ("spawn", "exec", "takeover")

_SUCCESSOR = re.compile(r"upgrade: a new arbiter \(pid (\d+)\) starts")

# It tells who answers, and what it sees of an upgrade.
TELLING = """
import os, time

def app(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    seen = [name for name in os.environ if name.startswith("PYFORK_")]
    body = f"{text} {{os.environ['PYFORK_WORKER']}} {{' '.join(sorted(seen))}}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class UpgradeSite(Site):
    """A directory with an application, and arbiters that follow one another."""

    def begin(self, mode: str, *options: str, **more: Any) -> Server:
        """The first arbiter."""
        given = () if mode == "takeover" else ("--upgrade-mode", mode)
        own = ("--name", "shop", "--pid", str(self.pid_file), *given)
        return self.serve("-w", "2", *own, *options, **more)

    @property
    def pid_file(self) -> Path:
        return self.directory / "shop.pid"

    def upgrade(self, server: Server, mode: str, *options: str) -> Server:
        """Upgrade, and wait until it is over. Returns the one in charge."""
        if mode == "takeover":
            new = self.begin(mode, "--takeover", *options)
            new.wait_log("the old arbiter has exited")
            assert server.wait() == 0
            return new
        if mode == "exec":
            over = server.log.count(" serves\n") + 1
            server.signal(signal.SIGUSR2)
            server.wait_log(" serves\n", over)
            old = server.workers()[:-2]
            psutil.wait_procs(old, timeout=15)
            return server
        over = server.log.count("the old arbiter has exited") + 1
        server.signal(signal.SIGUSR2)
        server.wait_log("the old arbiter has exited", over)
        server.follow(new_arbiter(server))
        return server


def new_arbiter(server: Server) -> int:
    """The pid of the arbiter that was started last."""
    return int(_SUCCESSOR.findall(server.log)[-1])


def files(pid: int) -> int:
    """How many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[UpgradeSite]:
    with ExitStack() as stack:
        yield UpgradeSite(tmp_path, stack)
