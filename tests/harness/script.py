"""``pyfork run`` in a process of its own, and clients that notice whatever goes wrong."""

import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.harness.server import PATIENCE, Server
from tests.harness.threads import ThreadsOfBlock

_LISTENS = re.compile(r"listens on (\S+)")
_READY = re.compile(r"worker \d+ \(generation (\d+), pid \d+\) is ready")
_LEFT = re.compile(r"worker \d+ \(generation (\d+), pid \d+\) left")


class Script(Server):
    """``python -m pyfork run OPTIONS SCRIPT -- ARGS``."""

    def __init__(
        self,
        script: str,
        *args: str,
        workers: int = 3,
        options: Sequence[str] = (),
        directory: Path,
        ready: bool = True,
        clean: bool = True,
        cwd: Path | None = None,
    ) -> None:
        super().__init__(
            script, directory=directory, ready=ready, clean=clean, bind=False, cwd=cwd or directory
        )
        self.size = workers
        start = [sys.executable, "-m", "pyfork", "run", "-w", str(workers), *options]
        self._command = [*start, *script.split(), "--", *args]

    @property
    def urls(self) -> list[str]:
        """Where it listens, in the order in which that was said."""
        return _LISTENS.findall(self.log)

    def wait_ready(self, generation: int = 1) -> None:
        """Wait until all workers of a generation are ready."""

        def ready() -> bool:
            assert self._process.poll() is None, f"it ended with {self._process.returncode}"
            return _READY.findall(self.log).count(str(generation)) >= self.size

        self.until(ready, f"all workers of generation {generation} are ready")

    def wait_left(self, generation: int) -> None:
        """Wait until all workers of a generation have left, each of its own accord."""
        self.until(
            lambda: _LEFT.findall(self.log).count(str(generation)) >= self.size,
            f"all workers of generation {generation} have left",
        )

    def pids(self) -> set[int]:
        """The workers' process ids."""
        return {worker.pid for worker in self.workers()}


def ask(port: int, host: str = "127.0.0.1") -> int:
    """The process that answers a request on a connection of its own."""
    with socket.create_connection((host, port), timeout=PATIENCE) as connection:
        return converse(connection)


def converse(connection: socket.socket) -> int:
    """The process that answers on this connection."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    data = b""
    while piece := connection.recv(65536):
        data += piece
    assert b" 200 " in data.split(b"\r\n")[0], data
    return int(data.split()[-1])


class ScriptLoad(ThreadsOfBlock):
    """Clients, one request after the other, as long as the block lasts."""

    def __init__(self, port: int, clients: int = 2) -> None:
        super().__init__()
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []
        self.threads = [threading.Thread(target=self._run, args=(port,)) for _ in range(clients)]

    def _run(self, port: int) -> None:
        while not self.over.is_set():
            try:
                self.answers[ask(port)] += 1
            except (OSError, AssertionError, ValueError, IndexError) as error:
                self.failures.append(f"{time.monotonic():.3f} {error!r}")
            self.over.wait(0.005)
