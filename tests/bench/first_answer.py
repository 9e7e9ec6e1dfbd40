"""How long from the command to the first 200, with four workers of a bare application.

    python -m tests.bench.first_answer [ROUNDS]

Beside pyfork, gunicorn where it is installed; rounds are interleaved, medians count.
"""

import importlib.util
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 10.0  # seconds
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def first_answer(module: str, *options: str) -> float:
    """Milliseconds until ``python -m module`` answers."""
    port = free_port()
    command = [sys.executable, "-m", module, "-w", "4", "-b", f"127.0.0.1:{port}", *options]
    began = time.perf_counter()
    server = subprocess.Popen(
        [*command, "tests.apps.wsgi:app"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not answers(port):
            if time.perf_counter() - began > PATIENCE:
                raise TimeoutError(f"{module} does not answer")
            time.sleep(0.001)
        return (time.perf_counter() - began) * 1000
    finally:
        server.terminate()
        server.wait(PATIENCE)


def answers(port: int) -> bool:
    """Whether a request gets a 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(REQUEST)
            return client.recv(4096).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    servers = {"pyfork": ("pyfork", "--control", "off")}
    if importlib.util.find_spec("gunicorn"):
        servers["gunicorn"] = ("gunicorn",)
    took: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, command in servers.items():
            took[name].append(first_answer(*command))
    for name, times in took.items():
        median, best = statistics.median(times), min(times)
        print(f"{name:10} median {median:5.0f} ms, best {best:5.0f} ms, of {rounds} rounds")


if __name__ == "__main__":
    main()
