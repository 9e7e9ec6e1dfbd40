"""What hostile clients cost a worker and its other clients, beside other servers.

    python -m tests.bench.hostile [ATTACK ...] [--peer NAME ...] [--seconds 4] [--tls]

Under each of `attacks.ATTACKS` it measures how far the server's memory rises above its rest, and
the 99th percentile of what another client waits for an answer on a new connection. pyfork is to
stay below 64 MiB and 50 ms: else the status is 1. "none" shows what the machine itself takes.
``pyfork-run`` is a script that starts uvicorn, under ``pyfork run``, and ``pyfork-uvicorn`` is
uvicorn in a worker: what a client can take there is uvicorn's, so it is printed and not judged.
"""

import argparse
import multiprocessing
import os
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.attacks import ATTACKS, GET, Attack
from tests.bench.cases.tls import make_certificate
from tests.bench.peers import FULL, PEERS, Peer, Start, like_gunicorn
from tests.bench.running import Cores, Running, Unfit

MIB = 1 << 20
MEMORY, WAIT = 64.0, 50.0  # MiB, ms
LATE = 2.0  # seconds after which a client gives up
PAUSE = 0.01  # seconds between two requests of the other client
ASKED = (
    *("pyfork-wsgi", "pyfork-thread", "granian-wsgi", "gunicorn-gthread"),
    *("pyfork-asgi", "granian-asgi", "uvicorn", "gunicorn-asgi"),
    *("pyfork-uvicorn", "pyfork-run"),
)


def _run_script(start: Start) -> tuple[str, ...]:
    script = "tests/bench/apps/hostile_script.py"
    return ("pyfork", "run", "-w", str(start.workers), script, "--", str(start.port))


SCRIPT = Peer("pyfork-run", "asgi", _run_script, needs=("uvicorn",), features=FULL)
UVICORN = Peer("pyfork-uvicorn", "asgi", like_gunicorn("pyfork", "-k", "uvicorn"), features=FULL)
ALL = (*PEERS, UVICORN, SCRIPT)


@dataclass(frozen=True)
class Cost:
    """Of one attack."""

    memory: float  # MiB above rest
    wait: float  # ms, the 99th percentile of the other client
    unanswered: int  # its requests that got no answer in LATE seconds

    @property
    def is_bounded(self) -> bool:
        """Whether it is what is promised."""
        return self.memory < MEMORY and self.wait < WAIT and not self.unanswered

    def __str__(self) -> str:
        late = f" ({self.unanswered} late)" if self.unanswered else ""
        return f"{self.memory:.0f} MiB, {self.wait:.1f} ms{late}"


def free_port() -> int:
    """One that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def ask(port: int, tls: ssl.SSLContext | None = None) -> float:
    """Seconds until an answer on a new connection; LATE where none came."""
    began = time.perf_counter()
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), LATE) as client:
        client.settimeout(LATE)
        if tls is not None:
            client = tls.wrap_socket(client)
        client.sendall(GET % b"/")
        if client.recv(4096).startswith(b"HTTP/1.1 200"):
            return time.perf_counter() - began
    return LATE


def measure(
    peer: Peer, attack: Attack, seconds: float, cores: Cores, certificate: Path | None
) -> Cost:
    """One attack on a server that was just started. Raises Unfit."""
    app = f"tests.bench.apps.hostile:{peer.interface}"
    start = Start(app, free_port(), tls=certificate)
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.load_verify_locations(certificate / "cert.pem")
        tls.check_hostname = False
    with Running(peer, start, cores.one) as server:
        server.wait_answers()
        server.wait_rest()
        for _ in range(50):
            ask(start.port, tls)
        rest = most = server.memory()
        # Forked: the attacker is another process, which delays nothing here.
        attacker = multiprocessing.get_context("fork").Process(
            target=attack.run, args=(start.port, tls), daemon=True
        )
        attacker.start()
        try:
            waits: list[float] = []
            end = time.monotonic() + seconds
            looked = 0.0
            while time.monotonic() < end:
                waits.append(ask(start.port, tls))
                if time.monotonic() - looked > 0.1:
                    looked = time.monotonic()
                    most = max(most, server.memory())
                time.sleep(PAUSE)
        finally:
            attacker.kill()
            attacker.join()
    late = sum(wait >= LATE for wait in waits)
    return Cost((most - rest) / MIB, sorted(waits)[len(waits) * 99 // 100] * 1000, late)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hostile", description=__doc__)
    parser.add_argument("attacks", nargs="*", choices=[*ATTACKS, []], metavar="ATTACK")
    parser.add_argument("--peer", action="append", choices=[peer.name for peer in ALL])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--tls", action="store_true")
    return parser.parse_args(words)


def main() -> int:
    """Measure and print; returns the status."""
    options = parse(sys.argv[1:])
    print(f"memory above rest (below {MEMORY:.0f} MiB), another client's p99 (below {WAIT:.0f} ms)")
    with tempfile.TemporaryDirectory() as directory:
        certificate = Path(directory) if options.tls else None
        if certificate is not None:
            make_certificate(certificate)
        exceeded = run(options, certificate)
    if exceeded:
        print("\nabove the bounds:", ", ".join(exceeded))
    return bool(exceeded)


def run(options: argparse.Namespace, certificate: Path | None) -> list[str]:
    """Run the attacks. Returns which of them cost pyfork more than it promises."""
    asked = options.peer or ASKED
    peers = [each for each in ALL if each.name in asked and not (options.tls and each is SCRIPT)]
    cores = Cores.divide(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores.load})
    exceeded = []
    for name in options.attacks or ATTACKS:
        attack = ATTACKS[name]
        print(f"\n{name}: {attack.connections} x {attack.title}")
        for peer in peers:
            if attack.websocket and "websocket" not in peer.features:
                continue
            if missing := peer.missing():
                print(f"  {peer.name:18}not installed: {missing}")
                continue
            try:
                cost = measure(peer, attack, options.seconds, cores, certificate)
            except Unfit as unfit:
                print(f"  {peer.name:18}{unfit}")
                continue
            print(f"  {peer.name:18}{cost}", flush=True)
            judged = peer.name.startswith("pyfork") and peer not in (SCRIPT, UVICORN)
            if judged and not cost.is_bounded:
                exceeded.append(f"{peer.name} under {name}")
    return exceeded


if __name__ == "__main__":
    sys.exit(main())
