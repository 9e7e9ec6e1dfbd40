"""A real arbiter in a process of its own, with tiny workers, for a test to play with."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 10.0  # seconds; only a failing test waits that long

T = TypeVar("T")


class Answer(NamedTuple):
    """Who took a connection."""

    slot: int
    generation: int
    pid: int


def wait_until(what: str, condition: Callable[[], T]) -> T:
    """The first true value of ``condition``; fails when there is none in time."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.005)
    return value


class Server:
    """One arbiter. Its settings are ``settings``; `configure` changes what a reload will read."""

    def __init__(self, directory: Path, *arguments: str, **settings: Any) -> None:
        self.directory = directory
        self.settings = {"app": "serving", "bind": ("127.0.0.1:0",), **settings}
        self.configure()
        self.log_path = directory / "log"
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.arbiter.tiny", str(directory / "config"), *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self.process.pid

    def configure(self, **settings: Any) -> None:
        """Change settings in the file."""
        self.settings |= settings
        (self.directory / "config").write_text(repr(self.settings))

    @property
    def log(self) -> str:
        """All that was logged so far."""
        return self.log_path.read_text()

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Wait until the log matches ``pattern`` so often; returns the last match."""
        found = wait_until(
            f"{times} x {pattern!r} is in the log",
            lambda: list(re.finditer(pattern, self.log))[times - 1 :],
        )
        return found[-1]

    def wait_ready(self, workers: int, generation: int = 1) -> None:
        """Wait until so many workers of a generation have said so, ever."""
        self.wait_for(rf"\(generation {generation}, pid \d+\) is ready", workers)

    @property
    def port(self) -> int:
        """The first TCP port."""
        return int(self.wait_for(r"http://127\.0\.0\.1:(\d+)")[1])

    @property
    def workers(self) -> set[int]:
        """Process ids of the living children of the arbiter."""
        children = psutil.Process(self.pid).children()
        return {each.pid for each in children if _belongs(each.pid, self.pid)}

    def ask(self, command: bytes = b"who", port: int | None = None) -> Answer:
        """Connect, say ``command``, and hear who took the connection."""
        with socket.create_connection(("127.0.0.1", port or self.port), timeout=PATIENCE) as client:
            client.sendall(command)
            return Answer(*map(int, client.recv(100).split()))

    def send(self, number: signal.Signals) -> None:
        """Send the arbiter a signal."""
        self.process.send_signal(number)

    def wait_exit(self) -> int:
        """The arbiter's exit status, once it has ended."""
        return self.process.wait(PATIENCE)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.send(number)
        return self.wait_exit()

    def everyone(self) -> set[int]:
        """Every process id that the log names, if the process lives and is of this session."""
        pids = {int(pid) for pid in re.findall(r"pid (\d+)", self.log)}
        return {pid for pid in pids if psutil.pid_exists(pid) and _belongs(pid, self.pid)}

    def clean_up(self) -> None:
        """End what is left, show the log, and complain about who outlived the arbiter."""
        print(self.log)  # pytest shows it if the test failed
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        try:
            wait_until("no process is left", lambda: not self.everyone())
        finally:
            for pid in self.everyone():
                psutil.Process(pid).kill()


def _belongs(pid: int, session: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and _session(pid) == session
    except psutil.NoSuchProcess:
        return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1
