"""How long from a save to the first answer of the new code, for a bare application.

    python -m tests.bench.reload [ROUNDS]

Beside pyfork, uvicorn and gunicorn where they are installed, each with its own ``--reload``; rounds
are interleaved, medians count. Also what a client saw meanwhile: refused or broken connections.
"""

import importlib.util
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.harness.ports import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds
PAUSE = 1.5  # seconds between two saves, in which old code may leave
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "{length}")])
    return [b"{text}"]
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    fields = [(b"content-length", b"{length}")]
    await send({{"type": "http.response.start", "status": 200, "headers": fields}})
    await send({{"type": "http.response.body", "body": b"{text}"}})
"""

SERVERS = {
    "pyfork, WSGI": (WSGI, ("pyfork", "--control", "off", "--reload", "-b", "127.0.0.1:{port}")),
    "pyfork, ASGI": (ASGI, ("pyfork", "--control", "off", "--reload", "-b", "127.0.0.1:{port}")),
    "uvicorn, ASGI": (ASGI, ("uvicorn", "--reload", "--port", "{port}")),
    "gunicorn, WSGI": (WSGI, ("gunicorn", "--reload", "-b", "127.0.0.1:{port}")),
}


class Server:
    """One server on a project of its own."""

    def __init__(self, source: str, command: tuple[str, ...], directory: Path) -> None:
        self._source = source
        self._file = directory / "application.py"
        self._port = free_port()
        self._saves = 0
        self.failures = 0
        self.save()
        words = [word.format(port=self._port) for word in command]
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words, "application:app"],
            cwd=directory,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait()
        self.failures = 0

    def save(self) -> str:
        """Write new code; what it answers."""
        self._saves += 1
        text = f"code {self._saves}"
        self._file.write_text(self._source.format(text=text, length=len(text)))
        return text

    def measure(self) -> float:
        """Milliseconds from a save to the first answer of its code."""
        self.save()
        began = time.perf_counter()
        self.wait()
        return (time.perf_counter() - began) * 1000

    def wait(self) -> None:
        wanted = f"code {self._saves}".encode()
        deadline = time.monotonic() + PATIENCE
        while not self._answer().endswith(wanted):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer from {self._process.args}")
            time.sleep(0.001)

    def _answer(self) -> bytes:
        data = b""
        try:
            with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as client:
                client.sendall(REQUEST)
                while piece := client.recv(4096):
                    data += piece
        except ConnectionError:
            self.failures += 1
        return data

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    took: dict[str, list[float]] = {}
    failures: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as place:
        servers = {}
        try:
            for number, (name, (source, command)) in enumerate(SERVERS.items()):
                if importlib.util.find_spec(command[0]):
                    directory = Path(place, str(number))
                    directory.mkdir()
                    servers[name] = Server(source, command, directory)
            time.sleep(PAUSE)
            for _ in range(rounds):
                for name, server in servers.items():
                    took.setdefault(name, []).append(server.measure())
                time.sleep(PAUSE)
            failures = {name: server.failures for name, server in servers.items()}
        finally:
            for server in servers.values():
                server.stop()
    for name, times in took.items():
        median, best, worst = statistics.median(times), min(times), max(times)
        print(
            f"{name:15} median {median:5.0f} ms, best {best:5.0f} ms, worst {worst:5.0f} ms, "
            f"{failures[name]:3} connections failed, {rounds} saves"
        )


if __name__ == "__main__":
    main()
