"""A directory with an application, and servers and commands that run there."""

import json
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.harness.server import PATIENCE, Server, environment

GOOD = """
import time

def app(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [("Content-Length", "{length}")])
    return [b"{text}"]
"""


class ControlWire:
    """A client that speaks the protocol by hand."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rb")

    def send(self, request: str, **options: Any) -> None:
        self.socket.sendall(json.dumps({"request": request, **options}).encode() + b"\n")

    def ask(self, request: str, **options: Any) -> Any:
        self.send(request, **options)
        return self.receive()

    def receive(self) -> Any:
        """The next answer; None at the end."""
        line = self.stream.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


class Site:
    """The directory, with a runtime directory of its own."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.runtime = directory / "run"
        self.runtime.mkdir()
        self.environ = {"XDG_RUNTIME_DIR": str(self.runtime)}
        self._stack = stack
        self._servers = 0
        self.deploy("one")

    def deploy(self, text: str) -> None:
        """Write code that answers with ``text``."""
        self.write(GOOD.format(text=text, length=len(text)))

    def write(self, code: str) -> None:
        (self.directory / "shop.py").write_text(code)
        # Of the same second and length, it would not be told from the code before.
        shutil.rmtree(self.directory / "__pycache__", ignore_errors=True)

    def serve(self, *options: str, **more: Any) -> Server:
        """A server until the end of the test."""
        self._servers += 1
        logs = self.directory / f"logs{self._servers}"
        logs.mkdir()
        environ = self.environ | more.pop("env", {})
        return self._stack.enter_context(
            Server("shop:app", *options, directory=logs, cwd=self.directory, env=environ, **more)
        )

    def socket(self, server: Server) -> Path:
        return self.runtime / "pyfork" / f"{server.pid}.sock"

    def wire(self, server: Server) -> ControlWire:
        """A connection to the server's control socket."""
        wire = ControlWire(self.socket(server))
        self._stack.callback(wire.close)
        return wire

    def status(self, server: Server) -> dict[str, Any]:
        wire = ControlWire(self.socket(server))
        try:
            answer = wire.ask("status")
        finally:
            wire.close()
        assert answer["ok"]
        return dict(answer["status"])

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A pyfork command, in the background."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pyfork", *words],
            cwd=self.directory,
            env=environment() | self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(_end, process)
        return process

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A pyfork command, run to its end."""
        process = self.start(*words)
        out, err = process.communicate(timeout=2 * PATIENCE)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()
