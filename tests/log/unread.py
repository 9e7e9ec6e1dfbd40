"""A server whose output nobody reads, and the descriptors that do that to it."""

import fcntl
import json
import os
import pty
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psutil

from tests.harness.ports import free_port
from tests.harness.server import ROOT, environment

T = TypeVar("T")

PATIENCE = 15.0  # seconds that anything may take on a busy machine


@dataclass
class Place:
    """Where a server writes to, and what reads it."""

    fd: int  # the server's
    reader: int | None = None

    def read(self) -> bytes:
        """What there is to read now."""
        assert self.reader is not None
        found = b""
        os.set_blocking(self.reader, False)
        with suppress(BlockingIOError):
            while data := os.read(self.reader, 65536):
                found += data
        return found


def full_pipe() -> Place:
    """Of which the reader lives, and reads nothing."""
    reader, writer = os.pipe()
    _fill(writer)
    return Place(writer, reader)


def closed_pipe() -> Place:
    """Whose reader has ended."""
    reader, writer = os.pipe()
    os.close(reader)
    return Place(writer)


def stopped_terminal() -> Place:
    """On which somebody pressed ^S."""
    ours, theirs = pty.openpty()
    termios.tcflow(theirs, termios.TCOOFF)
    return Place(theirs, ours)


def full_disk() -> Place:
    """Every write fails."""
    return Place(os.open("/dev/full", os.O_WRONLY))


def stopped_journal() -> Place:
    """A stream socket, as journald gives to its services, that is full."""
    reader, writer = socket.socketpair()
    with suppress(BlockingIOError):
        while writer.send(b"x" * 1000 + b"\n", socket.MSG_DONTWAIT):
            pass
    return Place(writer.detach(), reader.detach())


def dead_journal() -> Place:
    """The same, whose other end is closed."""
    reader, writer = socket.socketpair()
    reader.close()
    return Place(writer.detach())


PLACES: dict[str, Callable[[], Place]] = {
    each.__name__: each
    for each in (
        full_pipe,
        closed_pipe,
        stopped_terminal,
        full_disk,
        stopped_journal,
        dead_journal,
    )
}


@contextmanager
def opened(kind: Callable[[], Place]) -> Iterator[Place]:
    """A place, closed at the end; its flags are those that it had."""
    place = kind()
    flags = fcntl.fcntl(place.fd, fcntl.F_GETFL)
    try:
        yield place
        assert fcntl.fcntl(place.fd, fcntl.F_GETFL) == flags
    finally:
        os.close(place.fd)
        if place.reader is not None:
            os.close(place.reader)


def _fill(writer: int) -> None:
    own = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while os.write(own, b"x" * 1023 + b"\n"):
            pass
    os.close(own)


class Unread:
    """``python -m pyfork OPTIONS``, whose stdout and stderr are ``fd``."""

    def __init__(self, directory: Path, fd: int, *options: str, app: str = "tests.apps.wsgi:app"):
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pyfork", "-b", f"127.0.0.1:{self.port}", *options, app],
            cwd=ROOT,
            env=environment() | {"PYFORK_CONTROL": str(directory / "control.sock")},
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            start_new_session=True,
        )
        self.control = directory / "control.sock"

    def __enter__(self) -> "Unread":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def get(self, target: str = "/", count: int = 1, status: int = 200) -> set[int]:
        """Answers to so many requests: the pids of who gave them."""
        pids = set()
        for _ in range(count):
            connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", target)
            answer = connection.getresponse()
            assert answer.status == status
            pids.add(int(answer.headers.get("X-Pid", 0)))
            connection.close()
        return pids

    def serves(self) -> set[int]:
        """Wait until it answers; who does."""

        def answered() -> set[int]:
            with suppress(OSError, HTTPException):
                return self.get()
            return set()

        return self.until(answered, "it serves")

    def lost_lines(self) -> int:
        """As the status counts them."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.control))
            client.sendall(b'{"request": "status"}\n')
            answer = json.loads(client.makefile("rb").readline())
            return int(answer["status"]["log_lines_lost"])
        return 0

    def signal(self, number: int) -> None:
        """Send a signal to the arbiter."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the arbiter's end; its exit status."""
        return self._process.wait(PATIENCE)

    def processes(self) -> list[psutil.Process]:
        """All that it started and that lives."""
        return [each for each in psutil.process_iter() if _session(each) == self._process.pid]

    def until(self, found: Callable[[], T], what: str) -> T:
        """Wait until ``found()`` is true, and return what it is."""
        deadline = time.monotonic() + PATIENCE
        while not (value := found()):
            assert time.monotonic() < deadline, f"after {PATIENCE:.0f} s it is not true that {what}"
            assert self._process.poll() is None or what == "all have left", "it has ended"
            time.sleep(0.02)
        return value


def _session(process: psutil.Process) -> int | None:
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        alive = process.status() != psutil.STATUS_ZOMBIE
        return os.getsid(process.pid) if alive else None
    return None
