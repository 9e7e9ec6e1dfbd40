"""What each policy costs: python -m tests.bench.dispatch [OPTIONS].

``--kind asyncio``, ``uvloop`` and ``threads`` are scripts under ``pyfork run``; the others
applications.

How many of a burst of 40 connections, which stay, the busiest worker gets. Connections a second,
each with one request and Connection: close; and requests a second on kept connections, which no
policy should change. The servers run side by side and are measured in turn,
round after round, so that what else the machine does hits all alike; medians are printed, and
their ratios to ``shared``. The load is wrk's where it is installed, else this program's own.
"""

import argparse
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from pathlib import Path

from tests.end_to_end.dispatch.clients import burst
from tests.harness.ports import free_port
from tests.harness.script import Script
from tests.harness.server import ROOT, Server

POLICIES = ("shared", "least", "round-robin", "reuseport")
APPS, SCRIPTS = ("sync", "thread", "asgi"), ("asyncio", "uvloop", "threads")
KEEPING = str(ROOT / "tests/cluster/keepalive_script.py")
BURST, CONNECTIONS = "burst", 40
CLOSE = "Connection: close"
KEEP = "X-Nothing: at all"
TITLES = {
    BURST: f"of {CONNECTIONS} connections at once, how many the busiest worker gets",
    CLOSE: "connections a second",
    KEEP: "requests a second on kept connections",
}
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n"


def rate(port: int, field: str, *, clients: int, seconds: float) -> float:
    """Requests a second that a load with this header field reaches."""
    if shutil.which("wrk"):
        return by_wrk(port, field, clients, seconds)
    return by_threads(port, field, clients, seconds)


def by_wrk(port: int, field: str, clients: int, seconds: float) -> float:
    """wrk's, in one thread."""
    words = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "-H", field]
    done = subprocess.run(
        [*words, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True
    )
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])


def by_threads(port: int, field: str, clients: int, seconds: float) -> float:
    """This program's: slow, but the same for all."""
    until = time.monotonic() + seconds
    counts = [0] * clients

    def ask(number: int) -> None:
        client = None
        while time.monotonic() < until:
            client = client or socket.create_connection(("127.0.0.1", port), timeout=10)
            client.sendall(REQUEST % field.encode())
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
            counts[number] += 1
            if field == CLOSE:
                client.close()
                client = None

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def start(kind: str, policy: str, workers: int, directory: Path, stack: ExitStack) -> int:
    """A server; the port."""
    if kind in SCRIPTS:
        port = free_port()
        options = ["--dispatch", policy]
        stack.enter_context(
            Script(KEEPING, kind, str(port), workers=workers, options=options, directory=directory)
        )
        return port
    words = ["-w", str(workers), "-k", kind, "--dispatch", policy]
    app = f"tests.end_to_end.dispatch.app:{'asgi' if kind == 'asgi' else 'wsgi'}"
    return stack.enter_context(Server(app, *words, directory=directory)).port


def measure(options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Figures of every round, by header field (or `BURST`) and policy."""
    rates: dict[str, dict[str, list[float]]] = {
        what: {policy: [] for policy in options.policies} for what in (BURST, CLOSE, KEEP)
    }
    with redirect_stdout(StringIO()), ExitStack() as stack:  # what servers say at their end
        servers = {}
        for policy in options.policies:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            servers[policy] = start(options.kind, policy, options.workers, directory, stack)
        for number in range(options.rounds):
            turn = number % len(options.policies)
            for policy in (*options.policies[turn:], *options.policies[:turn]):
                port = servers[policy]
                rates[BURST][policy].append(burst(port, CONNECTIONS).shares[0])
                for field in (CLOSE, KEEP):
                    reached = rate(port, field, clients=options.clients, seconds=options.seconds)
                    rates[field][policy].append(reached)
    return rates


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What each policy of dispatch costs.")
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=POLICIES)
    parser.add_argument("--kind", default="sync", choices=(*APPS, *SCRIPTS))
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    for what, policies in measure(options).items():
        print(TITLES[what])
        medians = {policy: statistics.median(rates) for policy, rates in policies.items()}
        first = next(iter(medians.values()))
        for policy, median in medians.items():
            print(f"  {policy:12} {median:8.0f}  {median / first:.2f}")


if __name__ == "__main__":
    main()
