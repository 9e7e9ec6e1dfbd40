"""An application on one port, served by one arbiter after another, and what is done to it."""

import os
import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from types import TracebackType

import psutil

from tests.harness.load import KINDS, Code
from tests.harness.ports import free_port
from tests.harness.server import Server

_ARBITER = re.compile(r"pyfork \S+ \(pid (\d+)\) is starting ")
_RELOADED = re.compile(r"reload: generation \d+ serves")


class LoadSite:
    """The application and whoever serves it; when the block is left, nobody does."""

    def __init__(
        self,
        directory: Path,
        kind: str,
        workers: int,
        *options: str,
        env: dict[str, str] | None = None,
    ) -> None:
        self.code = Code(directory)
        self._directory = directory
        self._env = self.code.env | (env or {})
        self._app, own = KINDS[kind]
        self.port = free_port()
        address = f"127.0.0.1:{self.port}"
        self._options = ("-w", str(workers), *own, "-b", address, *options)
        self.preloads = "--preload" in options
        self._stack = ExitStack()
        self._servers: list[Server] = []

    def __enter__(self) -> "LoadSite":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        told: list[psutil.Process] = []

        def ended() -> bool:
            """Nothing runs. An arbiter that an upgrade has started meanwhile is stopped, too."""
            arbiter = self.arbiter
            if arbiter is not None and arbiter not in told:
                told.append(arbiter)
                arbiter.send_signal(signal.SIGTERM)
            return not self.processes()

        try:
            if ended() or kind is None:
                self.until(ended, "nothing is left over", timeout=20.0)
        finally:
            self._stack.__exit__(kind, error, trace)

    def start(self, *options: str, ready: bool = True) -> None:
        """Start a server of it, beside those that run."""
        directory = self._directory / str(len(self._servers) + 1)
        directory.mkdir()
        words = (*self._options, *options)
        server = Server(
            self._app, *words, directory=directory, env=self._env, ready=ready, clean=False
        )
        self._servers.append(self._stack.enter_context(server))

    # What it is.

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All logs, in the order of their servers."""
        return "".join(server.log for server in self._servers)

    @property
    def arbiter(self) -> psutil.Process | None:
        """The newest arbiter that lives."""
        pids = [int(pid) for pid in _ARBITER.findall(self.log)]
        alive = {process.pid: process for process in self.processes()}
        return next((alive[pid] for pid in reversed(pids) if pid in alive), None)

    def processes(self) -> list[psutil.Process]:
        """All that lives of it."""
        return [process for server in self._servers for process in server.processes()]

    def arbiters(self) -> list[psutil.Process]:
        """All of those that are no worker: more than one during an upgrade."""
        return [process for server in self._servers for process in server.arbiters()]

    def answers(self) -> bool:
        """Whether somebody serves it."""
        try:
            return self._servers[0].get("/small?n=probe").status == 200
        except (OSError, HTTPException):
            return False

    def date(self) -> str:
        """The Date of an answer."""
        return str(self._servers[0].get("/small?n=date").headers["Date"])

    # What is done to it.

    def until(self, found: Callable[[], object], what: str, timeout: float = 30.0) -> None:
        self._servers[-1].until(found, what, timeout)

    def signal(self, number: signal.Signals) -> psutil.Process:
        """Send a signal to the arbiter; which that is."""
        arbiter = self.arbiter
        assert arbiter is not None
        arbiter.send_signal(number)
        return arbiter

    def wait_reloads(self, count: int) -> None:
        self.until(lambda: self.reloads >= count, f"there were {count} reloads")

    @property
    def reloads(self) -> int:
        """How many generations have taken over in the same arbiter."""
        return len(_RELOADED.findall(self.log))

    def wait_succeeded(self, arbiter: psutil.Process) -> None:
        """Wait until another arbiter is in charge, and this one is gone."""
        self.until(lambda: arbiter not in self.processes(), f"arbiter {arbiter.pid} has left")
        assert self.arbiter is not None


def hup(site: LoadSite) -> None:
    before = site.reloads
    site.signal(signal.SIGHUP)
    site.wait_reloads(before + 1)


def usr2_spawn(site: LoadSite) -> None:
    site.wait_succeeded(site.signal(signal.SIGUSR2))


def usr2_exec(site: LoadSite) -> None:
    """The same process becomes the new program, then a reload brings the new code."""
    before = site.log.count("upgrade: this process becomes the new program"), site.reloads
    site.signal(signal.SIGUSR2)
    site.wait_reloads(before[1] + 1)
    assert site.log.count("upgrade: this process becomes the new program") == before[0] + 1


def takeover(site: LoadSite) -> None:
    before = site.arbiter
    assert before is not None
    site.start("--takeover")
    site.wait_succeeded(before)


# What may happen to a site without a client noticing: how it is done, with which options, and
# how often in a run. Each returns when it is done.
DISTURBANCES: dict[str, tuple[Callable[[LoadSite], None], tuple[str, ...], int]] = {
    "hup": (hup, (), 20),
    "usr2-spawn": (usr2_spawn, ("--upgrade-mode", "spawn"), 20),
    "usr2-exec": (usr2_exec, ("--upgrade-mode", "exec"), 20),
    "takeover": (takeover, (), 5),
}


def seed() -> str:
    """The seed of this run: $SOAK_SEED, or a new one; printed either way."""
    text = os.environ.get("SOAK_SEED") or os.urandom(4).hex()
    print(f"SOAK_SEED={text}")
    return text
