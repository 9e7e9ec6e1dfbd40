"""Cases of what is more than a request: files, WebSockets, connections that idle, fairness."""

import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from tests.bench import clients
from tests.bench.cases.case import THROUGHPUT, Bench, Case, Figure, check, of_interface
from tests.bench.cases.rates import BARE, FIGURES
from tests.bench.content import FILE_BYTES, make_file
from tests.bench.load import wrk
from tests.bench.peers import Peer
from tests.bench.running import Running

ECHOES = 64  # WebSockets
IDLE = 5000  # connections beside the load
WEIGHED = 800  # connections by which the memory of one is told: some hold but 1,000
SETTLE = 1.8  # seconds
KEPT = 24  # clients whose requests are to be shared fairly
WORKERS = 4


def file(bench: Bench, peer: Peer) -> Collection[float]:
    """One client that does next to nothing with what it gets."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        make_file(path)
        app = of_interface(peer, "file")
        with bench.serve(peer, app, env={"BENCH_FILE": str(path)}) as server:
            return (clients.download(server.port, bench.seconds, FILE_BYTES) / (1 << 20),)


def websocket(bench: Bench, peer: Peer) -> Collection[float]:
    with (
        bench.serve(peer, of_interface(peer, "websocket")) as server,
        clients.connected(server.port, ECHOES) as sockets,
    ):
        clients.upgrade(sockets)
        echoes = clients.talk(sockets, clients.FRAME, bench.seconds, clients.read_echo)
        return (echoes.total() / bench.seconds,)


def beside_idle(bench: Bench, peer: Peer) -> Collection[float]:
    with (
        bench.serve(peer, of_interface(peer, "hello"), idle=IDLE) as server,
        clients.idle(server.port, IDLE) as sockets,
    ):
        check(server.port, BARE)
        outcome = wrk(server.port, BARE, connections=bench.connections, seconds=bench.seconds)
        clients.check_idle(sockets)
        return outcome.rate, outcome.p99, outcome.lost


def memory_of_idle(bench: Bench, peer: Peer) -> Collection[float]:
    """Some connections come before, so that what is only made once is there."""
    with (
        bench.serve(peer, of_interface(peer, "hello"), idle=WEIGHED) as server,
        clients.idle(server.port, 100),
    ):
        before = _settled(server)
        with clients.idle(server.port, WEIGHED) as sockets:
            after = _settled(server)
            clients.check_idle(sockets)
            return ((after - before) / WEIGHED / 1024,)


def _settled(server: Running) -> int:
    """The memory when it has had the time to see that its connections idle."""
    time.sleep(SETTLE)
    server.wait_rest()
    return server.memory()


def fairness(bench: Bench, peer: Peer) -> Collection[float]:
    """The share of the worker that answers most."""
    with (
        bench.serve(peer, of_interface(peer, "pid"), workers=WORKERS) as server,
        clients.connected(server.port, KEPT) as sockets,
    ):
        pids = clients.talk(sockets, clients.GET, bench.seconds, clients.read_body)
        return (100 * max(pids.values()) / pids.total(),)


CASES = (
    Case("file", "100 MiB file", (THROUGHPUT,), file),
    Case(
        "websocket",
        f"WebSocket echo, {ECHOES} clients",
        (Figure("rate", "messages/s", more=True),),
        websocket,
        interface="asgi",
        needs=("websocket",),
    ),
    Case(
        "idle",
        f"bare GET beside {IDLE:,} idle connections",
        FIGURES,
        beside_idle,
        needs=("kept",),
    ),
    Case(
        "idle-memory",
        "memory of an idle connection",
        (Figure("memory", "KiB", more=False, digits=1),),
        memory_of_idle,
        needs=("kept",),
    ),
    Case(
        "fairness",
        f"{KEPT} clients on {WORKERS} workers: biggest share",
        (Figure("share", "%", more=False),),
        fairness,
        needs=("workers", "kept"),
    ),
)
