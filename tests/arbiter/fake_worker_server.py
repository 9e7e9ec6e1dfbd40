"""A real arbiter in a process of its own, whose workers are those of `fake_worker`."""

import re
import signal
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tests.harness.server import PATIENCE, Server


class Accepted(NamedTuple):
    """The worker that took a connection."""

    slot: int
    generation: int
    pid: int


class FakeWorkerServer(Server):
    """One arbiter. Its settings are ``settings``; `configure` changes what a reload will read."""

    def __init__(self, directory: Path, *arguments: str, **settings: Any) -> None:
        super().__init__("", directory=directory, ready=False, clean=False)
        self.settings = {"app": "serving", "bind": ("127.0.0.1:0",), **settings}
        self.configure()
        start = [sys.executable, "-m", "tests.arbiter.fake_worker"]
        self._command = [*start, str(directory / "config"), *arguments]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()  # its workers notice, and leave
        self._process.wait()
        super().__exit__(kind, error, trace)

    def configure(self, **settings: Any) -> None:
        """Change settings in the file."""
        self.settings |= settings
        (self.directory / "config").write_text(repr(self.settings))

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Wait until the log matches ``pattern`` so often; returns the last match."""
        found = self.until(
            lambda: list(re.finditer(pattern, self.log + self.out))[times - 1 :],
            f"{times} x {pattern!r} is in the log",
        )
        return found[-1]

    def wait_workers(self, count: int, generation: int = 1) -> None:
        """Wait until so many workers of a generation have been ready, ever."""
        self.wait_for(rf"\(generation {generation}, pid \d+\) is ready", count)

    @property
    def port(self) -> int:
        """The first TCP port."""
        return int(self.wait_for(r"http://127\.0\.0\.1:(\d+)")[1])

    def pids(self) -> set[int]:
        """Process ids of the living children of the arbiter."""
        return {worker.pid for worker in self.workers()}

    def ask(self, command: bytes = b"who", port: int | None = None) -> Accepted:
        """Connect, send ``command``, and learn which worker took the connection."""
        with socket.create_connection(("127.0.0.1", port or self.port), timeout=PATIENCE) as client:
            client.sendall(command)
            return Accepted(*map(int, client.recv(100).split()))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status."""
        self.signal(number)
        return self.wait()
