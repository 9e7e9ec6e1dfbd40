"""The command on a terminal of its own, with somebody who types."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.dev.project import PATIENCE
from tests.harness.server import ROOT

ENVIRONMENT = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "PYFORK_CONTROL": "off"}


class Terminal:
    """``pyfork`` on a terminal of its own."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        env: dict[str, str] | None = None,
        columns: int = 100,
    ) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYFORK_", "NO_COLOR"))}
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pyfork", *options],
            cwd=directory,
            env=kept | ENVIRONMENT | (env or {}),
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.shown = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            self._read()
        self._process.kill()
        self._process.wait()
        os.close(self._theirs)
        os.close(self._ours)
        print(self.shown)

    def wait(self, pattern: str) -> re.Match[str]:
        """Wait until it shows ``pattern``."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.shown)):
            assert time.monotonic() < deadline, f"{pattern!r} is not in {self.shown!r}"
            self._read()
        return found

    def type(self, text: str) -> None:
        """Press keys: ``\\x03`` is Ctrl-C."""
        os.write(self._ours, text.encode())

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` is true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.shown
            self._read()

    def wait_end(self) -> int:
        """Wait until the command has ended, and return its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None:
            assert time.monotonic() < deadline, self.shown
            self._read()
        self._read()
        return self._process.returncode

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed, as a shell expects it."""
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    def _read(self) -> None:
        if select.select([self._ours], [], [], 0.05)[0]:
            try:
                self.shown += os.read(self._ours, 65536).decode().replace("\r\n", "\n")
            except OSError:  # everybody has left the terminal
                time.sleep(0.05)
