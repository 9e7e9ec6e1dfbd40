"""The server that an application's documentation names, as a process of its own."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.harness.server import PATIENCE, ROOT, environment

# How gunicorn, uvicorn and Werkzeug tell their address.
_ADDRESS = re.compile(r"(?:Listening at:|running on|Running on) (http://127\.0\.0\.1:\d+)")

GUNICORN = ("-m", "gunicorn", "-b", "127.0.0.1:0")
GUNICORN_THREADS = (*GUNICORN, "--threads", "16")
UVICORN = ("-m", "uvicorn", "--port", "0")


class Reference:
    """``python COMMAND``, which serves on a loopback port that it prints.

    Args:
        command: the arguments of the interpreter.
        directory: where its output goes, ``reference.log``.
        env: what is added to the environment.
    """

    def __init__(
        self, command: Sequence[str], *, directory: Path, env: dict[str, str] | None = None
    ) -> None:
        self._command = [sys.executable, *command]
        self._log = directory / "reference.log"
        self._env = environment() | {"PYTHONUNBUFFERED": "1"} | (env or {})
        self._process: subprocess.Popen[bytes]
        self.url = ""

    def __enter__(self) -> "Reference":
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.url = self._wait_address()
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
        self._end()

    def _wait_address(self) -> str:
        deadline = time.monotonic() + PATIENCE
        while not (found := _ADDRESS.search(self._log.read_text(errors="replace"))):
            assert self._process.poll() is None, f"it ended with {self._process.returncode}"
            assert time.monotonic() < deadline, "the reference server does not start"
            time.sleep(0.02)
        return found[1]

    def _end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        print(f"--- {' '.join(self._command)}", self._log.read_text(errors="replace"), sep="\n")
