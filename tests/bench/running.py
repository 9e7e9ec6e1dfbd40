"""One server that runs, on cores of its own, until the block is left."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.bench.peers import Peer, Start

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds for a start, an answer, an end
REST = 2  # ticks of CPU time (10 ms) in half a second


class Unfit(Exception):
    """What was to be measured cannot be: the reason, for the report."""


@dataclass(frozen=True)
class Cores:
    """Who runs where. One worker has one core, so that what it reaches is what a core does."""

    one: frozenset[int]  # a server of one worker
    many: frozenset[int]  # a server of several
    every: frozenset[int]  # one beside which there is no load
    load: int

    @classmethod
    def divide(cls, usable: Collection[int]) -> "Cores":
        """The last one is for the load. Raises Unfit if there are fewer than two."""
        *servers, load = sorted(usable)
        if not servers:
            raise Unfit("two cores are needed: one for the server and one for the load")
        return cls(frozenset(servers[:1]), frozenset(servers), frozenset(usable), load)


class Running:
    """A peer as a process. Entering starts it; leaving ends it, and all that it started."""

    def __init__(
        self, peer: Peer, start: Start, on: Collection[int], env: dict[str, str] | None = None
    ) -> None:
        self.peer = peer
        self.port = start.port
        self._tls = start.tls is not None
        self._command = [sys.executable, "-m", *peer.command(start)]
        self._cores = on
        self._env = os.environ | {"PYTHONPATH": str(ROOT)} | (env or {})
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> "Running":
        try:
            with undisturbed() as mask:
                self._start(mask)
        except (KeyboardInterrupt, SystemExit):  # which waited for the end of the block
            self._end()
            raise
        return self

    def _start(self, mask: Collection[int]) -> None:
        """With these signals blocked."""

        def prepare() -> None:
            os.sched_setaffinity(0, self._cores)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

        # A session of its own, by which all that it starts is found.
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        """All its processes: who does not leave within a second is killed."""
        with undisturbed():
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            deadline = time.monotonic() + PATIENCE
            while (left := self.pids()) and time.monotonic() < deadline:
                for pid in left:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self._process.poll()
                time.sleep(0.01)
            self._process.wait(PATIENCE)
            self._log.close()

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._process.pid

    def pids(self) -> list[int]:
        """All of its processes that live."""
        return [pid for pid in _processes() if _session(pid) == self._process.pid]

    def log(self) -> str:
        """The end of what it has said."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), 2000, max(0, size - 2000)).decode(errors="replace")

    def wait_answers(self, pause: float = 0.02) -> None:
        """Wait until a request gets a 200, looked at every ``pause`` seconds. Raises Unfit."""
        deadline = time.monotonic() + PATIENCE
        while not answers(self.port, tls=self._tls):
            if self._process.poll() is not None:
                raise Unfit(f"it does not start: {_last_line(self.log())}")
            if time.monotonic() > deadline:
                raise Unfit(f"no answer for {PATIENCE:.0f} s: {_last_line(self.log())}")
            time.sleep(pause)

    def wait_rest(self) -> None:
        """Wait until it does next to nothing, as when all workers have booted; for a while."""
        deadline = time.monotonic() + PATIENCE
        before = -1
        while (now := sum(map(_ticks, self.pids()))) - before > REST or before < 0:
            if time.monotonic() > deadline:
                return
            before = now
            time.sleep(0.5)

    def memory(self) -> int:
        """Bytes that all its processes have, what they share counted once (PSS)."""
        return sum(map(_pss, self.pids()))


@contextmanager
def undisturbed() -> Iterator[Collection[int]]:
    """An interrupt waits until the block is left; which signals were blocked before."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def unverified() -> ssl.SSLContext:
    """Of a client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def answers(port: int, *, tls: bool = False) -> bool:
    """Whether somebody there answers a request, or a record of TLS; any status is an answer."""
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            if tls:
                with unverified().wrap_socket(client) as secured:
                    return secured.version() is not None
            client.sendall(request)
            return client.recv(4096).startswith(b"HTTP/1.")
    except OSError:
        return False


def _last_line(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it has said nothing"


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[str]:
    """From the state on; nothing of a process that has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _session(pid: int) -> int | None:
    """The session of a process that lives; a zombie is gone."""
    fields = _stat(pid)
    return int(fields[3]) if fields and fields[0] != "Z" else None


def _ticks(pid: int) -> int:
    """CPU time, in user and kernel mode."""
    return sum(map(int, _stat(pid)[11:13]))


def _pss(pid: int) -> int:
    """Bytes (proc(5), smaps_rollup)."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:"))
