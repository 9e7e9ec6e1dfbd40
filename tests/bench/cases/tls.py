"""Cases over TLS: kept connections, and handshakes, full ones and resumed ones."""

import os
import re
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.cases.case import Bench, Case, Figure, check, of_interface
from tests.bench.cases.rates import BARE, FIGURES
from tests.bench.load import wrk
from tests.bench.peers import Peer
from tests.bench.running import Running, Unfit

HANDSHAKES = Figure("rate", "handshakes/s", more=True)
CLIENTS = 4  # processes that make handshakes

# Those that speak TLS by themselves.
PEERS = (
    "pyfork-wsgi",
    "granian-wsgi",
    "gunicorn-gthread",
    "pyfork-asgi",
    "granian-asgi",
    "uvicorn",
)

_NEW_KEY = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
)


@contextmanager
def secured(bench: Bench, peer: Peer) -> Iterator[Running]:
    """A server with a certificate of its own."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        make_certificate(place)
        with bench.serve(peer, of_interface(peer, "hello"), tls=place) as server:
            yield server


def make_certificate(place: Path) -> None:
    """Write cert.pem and key.pem. Raises Unfit."""
    files = ["-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")]
    try:
        subprocess.run(["openssl", *_NEW_KEY.split(), *files], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unfit(f"no certificate by openssl: {error}") from None


def kept(bench: Bench, peer: Peer) -> Collection[float]:
    """Requests on connections whose handshake is over."""
    with secured(bench, peer) as server:
        check(server.port, BARE, tls=True)
        outcome = wrk(
            server.port,
            BARE,
            connections=bench.connections,
            seconds=bench.seconds,
            scheme="https",
        )
        return outcome.rate, outcome.p99, outcome.lost


def handshakes(bench: Bench, peer: Peer, *how: str) -> Collection[float]:
    """Handshakes and no requests, by several `openssl s_time` at once."""
    with secured(bench, peer) as server:
        words = ["openssl", "s_time", "-connect", f"127.0.0.1:{server.port}", *how]
        clients = [
            subprocess.Popen(
                [*words, "-time", str(bench.seconds)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {bench.cores.load}),
            )
            for _ in range(CLIENTS)
        ]
        said = [client.communicate(timeout=bench.seconds + 30)[0] for client in clients]
    found = [re.search(r"(\d+) connections in (\d+) real seconds", text) for text in said]
    if not all(found):
        raise Unfit(f"openssl s_time failed: {said[0].strip()[-200:]}")
    return [sum(int(match[1]) / int(match[2]) for match in found if match)]


CASES = (
    Case("tls", "bare GET over TLS", FIGURES, kept, peers=PEERS),
    Case(
        "tls-full",
        "full TLS handshakes",
        (HANDSHAKES,),
        lambda bench, peer: handshakes(bench, peer, "-new"),
        peers=PEERS,
    ),
    Case(
        "tls-resumed",
        "resumed handshakes of TLS 1.2",
        (HANDSHAKES,),
        # In TLS 1.3 tickets come behind the handshake, and `s_time` does not wait for them.
        lambda bench, peer: handshakes(bench, peer, "-reuse", "-tls1_2"),
        peers=PEERS,
    ),
)
