"""Load in a test: the client as a process beside the server, and the code that the server runs.

code = Code(tmp_path)
with Server(code.app("sync"), *options, directory=tmp_path, env=code.env) as server:
    with LoadProcess(server, seconds=60, seed="1") as load:
        code.write("2")
        server.signal(signal.SIGHUP)
    assert load.report.losses == {}
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.end_to_end.load.outcomes import Report
from tests.harness.server import PATIENCE, ROOT, Server, environment

# Kinds of worker: what to serve, and with which options.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sync": ("tests.apps.load:wsgi", ("-k", "sync")),
    "thread": ("tests.apps.load:wsgi", ("-k", "thread", "--threads", "8")),
    "asgi-uvloop": ("tests.apps.load:asgi", ("--loop", "uvloop", "--lifespan", "off")),
    "asgi-asyncio": ("tests.apps.load:asgi", ("--loop", "asyncio", "--lifespan", "off")),
}


class Code:
    """The file that stands for the application's code."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "code.json"
        self.env = {"LOAD_CODE": str(self._path)}
        self.write("1")

    def write(self, version: str, *, boot: float = 0.0) -> None:
        """Deploy: the next import is of this version and takes ``boot`` seconds."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({"version": version, "boot": boot}))
        fresh.replace(self._path)


class LoadProcess:
    """The client while it runs; when the block is left it ends, and ``report`` is there."""

    def __init__(self, url: str, **options: object) -> None:
        words = [f"--{name}={value}" for name, value in options.items()]
        self._command = [sys.executable, "-m", "tests.end_to_end.load.client", url, *words]
        self._process: subprocess.Popen[str]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self.report: Report

    def __enter__(self) -> "LoadProcess":
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            out, _ = self._process.communicate(timeout=PATIENCE + 30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, _ = self._process.communicate()
        print(self._read_log())
        self._log.close()
        if kind is None:
            assert self._process.returncode == 0
            self.report = Report.from_json(out)

    def wait_answers(self) -> None:
        """Wait until clients of either kind have been answered."""
        deadline = time.monotonic() + PATIENCE
        while "the load is on" not in self._read_log():
            assert time.monotonic() < deadline, "the load does not begin"
            assert self._process.poll() is None, f"it ended: {self._read_log()}"
            time.sleep(0.01)

    def wait(self, timeout: float) -> None:
        """Wait until it has stopped by itself."""
        self._process.wait(timeout)

    def _read_log(self) -> str:
        # By an offset of our own: the client writes on where its last line ended.
        return os.pread(self._log.fileno(), 1 << 20, 0).decode()


def reload(server: Server, code: Code, generation: int) -> None:
    """Deploy, and wait until the new code serves."""
    code.write(str(generation))
    server.signal(signal.SIGHUP)
    server.wait_log(f"generation {generation} serves")


def wait_version(server: Server, version: str) -> None:
    """Wait until that code answers one more client. Those of the load may never meet a version
    that is there for a moment only, when the machine is busy."""

    def answered() -> bool:
        return server.get("/small?n=0").headers["X-Version"] == version

    server.until(answered, f"version {version} answers")


def serve(code: Code, kind: str, workers: int, directory: Path, *options: str) -> Server:
    """A server of ``code``, not started yet."""
    app, own = KINDS[kind]
    return Server(app, "-w", str(workers), *own, *options, directory=directory, env=code.env)
