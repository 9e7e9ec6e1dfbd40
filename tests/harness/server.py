"""The real command in a process of its own, for the tests that need one.

    with Server("tests.apps.wsgi:app", "-w", "2", directory=tmp_path) as server:
        assert server.get("/").status == 200

Its log is printed when it ends, which pytest shows for a test that fails. When the block is left
nothing of it runs any more, and that it left of its own accord has been checked.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psutil

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
PATIENCE = 15.0  # seconds that anything may take on a busy machine

_START = re.compile(r"pyfork \S+ \(pid \d+\) is starting .* on (.+) with (\d+) worker")
_READY = re.compile(r"worker \d+ \(generation \d+, pid (\d+)\) is ready")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read whole."""

    status: int
    headers: HTTPMessage
    body: bytes


class Server:
    """``python -m pyfork APP OPTIONS``, with everything that it starts.

    Args:
        app: as on the command line.
        options: more of the command line.
        directory: where its stderr goes, ``server.log``, and its stdout, ``out.log``.
        log: the file that the options make its log, if that is not stderr.
        ready: wait until every worker of the first generation is ready.
        clean: that TERM ends it with status 0 is checked at the end.
        command: what stands in the place of ``python -m pyfork``.
        bind: without -b the port is one that is free; else what the configuration says.
    """

    def __init__(
        self,
        app: str,
        *options: str,
        directory: Path,
        log: Path | None = None,
        cwd: Path = ROOT,
        env: dict[str, str] | None = None,
        ready: bool = True,
        clean: bool = True,
        bind: bool = True,
        command: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self._log = log or directory / "server.log"
        self.ready = ready
        self.clean = clean
        given = not bind or {"-b", "--bind"} & set(options)
        address = () if given else ("-b", "127.0.0.1:0")
        self._command = [*(command or (sys.executable, "-m", "pyfork")), *address, *options, app]
        self._cwd = cwd
        self._environ = environment() | (env or {})
        self._process: subprocess.Popen[bytes]
        self._lead: int | None = None  # the arbiter in charge, if it is not the first process
        self._urls: list[str] = []

    def __enter__(self) -> "Server":
        with (
            open(self.directory / "server.log", "ab") as log,
            open(self.directory / "out.log", "ab") as out,
        ):
            # A session of its own: by it all that it starts is found, and a ^C stays with pytest.
            self._process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
        try:
            if self.ready:
                self.wait_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        running = self._process.poll() is None
        left = self._end()
        if kind is None:
            assert not left, f"still there after {PATIENCE:.0f} s: {left}"
            assert not (running and self.clean) or self._process.returncode == 0

    # What it is.

    @property
    def pid(self) -> int:
        """The arbiter's: of the first one, or of the one that was followed."""
        return self._lead or self._process.pid

    def follow(self, pid: int) -> None:
        """Another arbiter, which this one started, is in charge."""
        self._lead = pid

    def arbiters(self) -> list[psutil.Process]:
        """Every process of it that lives and is no worker: more than one during an upgrade."""
        return [each for each in self.processes() if not _is_worker(each)]

    @property
    def log(self) -> str:
        """Its error log so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def out(self) -> str:
        """Its stdout so far."""
        return (self.directory / "out.log").read_text(errors="replace")

    @property
    def urls(self) -> list[str]:
        """The addresses that it said it serves on; the log may have been rotated since."""
        if not self._urls:
            found = _START.search(self.log)
            assert found, "it has not started"
            self._urls = found[1].split(", ")
        return self._urls

    @property
    def port(self) -> int:
        """The port of the first address."""
        return int(self.urls[0].rpartition(":")[2])

    def workers(self) -> list[psutil.Process]:
        """The arbiter's children that live, without fork servers, eldest first."""
        children = _processes(_children(self.pid))
        found = [each for each in children if _alive(each) and not is_fork_server(each)]
        return sorted(found, key=lambda one: (one.create_time(), one.pid))

    def processes(self) -> list[psutil.Process]:
        """All that it started and that lives, also those whose parent has died."""
        # Asked of the kernel first: psutil reads several files of each process of the machine.
        pids = [pid for pid in psutil.pids() if _session(pid) == self._process.pid]
        return list(filter(_alive, _processes(pids)))

    # What is done to it.

    def signal(self, number: int) -> None:
        """Send a signal to the arbiter; nothing happens if it has ended."""
        if self._lead is None:
            self._process.send_signal(number)
        else:
            with suppress(ProcessLookupError):
                os.kill(self._lead, number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the arbiter's end; its exit status."""
        return self._process.wait(timeout)

    def wait_ready(self) -> None:
        """Wait until all workers that it starts with are ready."""

        def ready() -> bool:
            assert self._process.poll() is None, f"it ended with {self._process.returncode}"
            start = _START.search(self.log)
            return bool(start) and len(set(_READY.findall(self.log))) >= int(start[2])  # type: ignore[index]

        self.until(ready, "all workers are ready")
        assert self.urls

    def wait_log(self, text: str, count: int = 1) -> None:
        """Wait until ``text`` stands in the log, so many times."""
        self.until(lambda: self.log.count(text) >= count, f"the log says {text!r}")

    def until(self, found: Callable[[], T], what: str, timeout: float = PATIENCE) -> T:
        """Wait until ``found()`` is true, and return what it is."""
        deadline = time.monotonic() + timeout
        while not (value := found()):
            assert time.monotonic() < deadline, f"after {timeout:.0f} s it is not true that {what}"
            time.sleep(0.01)
        return value

    # What it is asked.

    def connect(self) -> HTTPConnection:
        """A connection to the first address; it is made when it is used."""
        host = self.urls[0].removeprefix("http://").rpartition(":")[0].strip("[]")
        return HTTPConnection(host, self.port, timeout=PATIENCE)

    def get(self, target: str, **headers: str) -> Answer:
        """GET on a connection of its own."""
        return self.request("GET", target, headers=headers)

    def request(
        self, method: str, target: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Any request on a connection of its own. Bodies are what http.client takes."""
        connection = self.connect()
        try:
            return exchange(connection, method, target, body, headers)
        finally:
            connection.close()

    def _end(self) -> list[psutil.Process]:
        """Stop it and wait for all its processes; those that do not go are killed, and returned."""
        for arbiter in self.arbiters() if self._lead else ():
            with suppress(psutil.NoSuchProcess):
                arbiter.terminate()
        if self._lead is None:
            self._process.terminate()
        deadline = time.monotonic() + PATIENCE
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(PATIENCE)
        print(f"--- {' '.join(self._command)}: {self._process.returncode}")
        print(self.log, self.out, sep="--- stdout\n")
        return left


def exchange(
    connection: HTTPConnection,
    method: str,
    target: str,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request and its response on an open connection."""
    connection.request(method, target, body, headers or {})  # type: ignore[arg-type]
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def environment() -> dict[str, str]:
    """Ours, without what would set pyfork up, for a process that imports it from here."""
    settings = ("PYFORK_", "WEB_CONCURRENCY", "PORT")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(settings)}
    preload = {"PYFORK_PRELOAD": "1"} if os.environ.get("TESTS_PRELOAD") else {}
    return kept | preload | {"PYTHONPATH": str(ROOT)}


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def is_fork_server(process: psutil.Process) -> bool:
    """Whether its title says so."""
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return "fork server" in " ".join(process.cmdline()[:1])
    return False


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return "".join(process.cmdline()[:1]).startswith("pyfork: worker")
    return False


def _session(pid: int) -> int | None:
    with suppress(ProcessLookupError, PermissionError):
        return os.getsid(pid)
    return None


def _children(pid: int) -> list[int]:
    """The children of a process; on Linux without a look at all processes of the machine."""
    lists = Path("/proc", str(pid), "task").glob("*/children")
    with suppress(FileNotFoundError, ProcessLookupError):
        if found := [path.read_text() for path in lists]:
            return [int(child) for child in " ".join(found).split()]
    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children()]
    return []


def _processes(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)
