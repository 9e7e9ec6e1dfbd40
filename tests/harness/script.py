"""``pyfork run`` in a process of its own, and clients that notice whatever goes wrong."""

import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.harness.server import PATIENCE, Server

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


class ScriptLoad:
    """Clients, one request after the other, as long as the block lasts."""

    def __init__(self, port: int, clients: int = 2) -> None:
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(port,)) for _ in range(clients)]

    def __enter__(self) -> "ScriptLoad":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, port: int) -> None:
        while not self._stop.is_set():
            try:
                self.answers[ask(port)] += 1
            except (OSError, AssertionError, ValueError, IndexError) as error:
                self.failures.append(f"{time.monotonic():.3f} {error!r}")
            self._stop.wait(0.005)
