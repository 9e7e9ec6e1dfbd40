"""A service manager as far as a service can see it, and a server that it starts."""

import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.harness.server import PATIENCE, Server

SHOP = """
import json, os

def app(environ, start_response):
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID")
    answer = {"text": "TEXT", "seen": [name for name in names if name in os.environ]}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
"""


class Manager:
    """Binds a notification socket and keeps what it hears."""

    def __init__(self, directory: Path) -> None:
        self.place = str(directory / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.place)
        self.heard: list[dict[str, str]] = []

    def hear(self, *keys: str, timeout: float = PATIENCE) -> dict[str, str]:
        """Wait for the next message that has all of ``keys``, and return it."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                message = self._keep(self._socket.recv(4096))
            except TimeoutError:
                break
            if message.keys() >= set(keys):
                return message
        raise AssertionError(f"no {keys} within {timeout:g} s; heard {self.heard}")

    def told(self, key: str) -> bool:
        """Whether any message so far had ``key``, also of those that nobody waited for."""
        self._socket.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                self._keep(self._socket.recv(4096))
        return any(key in message for message in self.heard)

    def _keep(self, data: bytes) -> dict[str, str]:
        message = dict(line.split("=", 1) for line in data.decode().split("\n"))
        self.heard.append(message)
        return message

    def close(self) -> None:
        self._socket.close()


class Unit(Server):
    """A server started by the manager, with ``sockets`` such as "http=127.0.0.1:0"."""

    def __init__(
        self, *options: str, manager: Manager | None, sockets: tuple[str, ...] = (), **more: Any
    ) -> None:
        directory: Path = more.pop("directory")
        deploy(directory, "one")
        environ = {"NOTIFY_SOCKET": manager.place} if manager else {}
        environ |= {"XDG_RUNTIME_DIR": str(directory)} | more.pop("env", {})
        super().__init__("shop:app", directory=directory, cwd=directory, env=environ, **more)
        own = ("-b", "127.0.0.1:0") if not sockets and "-b" not in options else ()
        launcher = [sys.executable, "-m", "tests.end_to_end.systemd.launcher", *sockets, "--"]
        command = [sys.executable, "-m", "pyfork", *own, *options, "shop:app"]
        self._command = launcher + command


def deploy(directory: Path, text: str) -> None:
    """Write code that answers with ``text``."""
    (directory / "shop.py").write_text(SHOP.replace("TEXT", text))
