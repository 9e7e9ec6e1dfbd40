"""Cases of a whole tree of processes: how soon it answers, what it weighs, how it reloads."""

import contextlib
import io
import os
import signal
import tempfile
import time
from collections.abc import Collection
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.bench.cases.case import P99, Bench, Case, Figure
from tests.bench.peers import MAIN, Peer
from tests.bench.running import PATIENCE, Unfit
from tests.end_to_end.load.outcomes import Outcome
from tests.harness import load

WORKERS = 4
PAUSE = 2.4  # seconds from one reload to the next

# Clients that are busy; half of them keep their connections. Nothing of theirs is slow.
BUSY = {"clients": 24, "think": 0.02, "pause": 0.02, "slow": 0, "stream": 0, "halting": 0}

# Not nice, and nothing is lost.
GENTLE = (Outcome.CLOSED_IDLE, Outcome.TOLD_TO_CLOSE)

COUNTED = ("lost requests", "closed while idle", "told to close")

SERVERS = {*MAIN, "gunicorn-sync"}


def first_answer(bench: Bench, peer: Peer) -> Collection[float]:
    """From the command to the first answer."""
    began = time.perf_counter()
    app = f"tests.bench.apps.plain:{peer.interface}"
    with bench.serve(peer, app, workers=WORKERS, ready=False) as server:
        server.wait_answers(pause=0.001)
        return ((time.perf_counter() - began) * 1000,)


def memory(bench: Bench, peer: Peer) -> Collection[float]:
    """When all workers have booted, and one of them has answered."""
    with bench.serve(peer, f"tests.bench.apps.plain:{peer.interface}", workers=WORKERS) as server:
        return (server.memory() / (1 << 20),)


def reload(bench: Bench, peer: Peer) -> Collection[float]:
    """HUP, again and again, under clients that check every byte."""
    with tempfile.TemporaryDirectory() as directory:
        code = load.Code(Path(directory))
        app = f"tests.apps.load:{peer.interface}"
        with bench.serve(peer, app, workers=WORKERS, env=code.env) as server:
            url = f"http://127.0.0.1:{server.port}"
            seconds = 2 * PATIENCE + bench.reloads * PAUSE
            with (
                contextlib.redirect_stdout(io.StringIO()),
                load.Running(url, seconds=seconds, **BUSY) as clients,
            ):
                clients.wait_answers()
                for generation in range(2, 2 + bench.reloads):
                    code.write(str(generation))
                    os.kill(server.pid, signal.SIGHUP)
                    time.sleep(PAUSE)
                _wait_version(server.port, str(1 + bench.reloads))
    report = clients.report
    if not report.waits:
        raise Unfit("no request was answered")
    idle, told = (report.counts[each] for each in GENTLE)
    return report.p99 * 1000, sum(report.losses.values()) - idle - told, idle, told


def _wait_version(port: int, version: str) -> None:
    """Wait until this one is served. Raises Unfit."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/small?n=0")
            if connection.getresponse().headers["X-Version"] == version:
                return
        except (OSError, HTTPException):
            pass  # it may refuse for a moment, which the clients count
        finally:
            connection.close()
        time.sleep(0.1)
    raise Unfit(f"version {version} was not served within {PATIENCE:.0f} s")


CASES = (
    Case(
        "start",
        f"first answer of {WORKERS} workers",
        (Figure("time", "ms", more=False),),
        first_answer,
        needs=("workers",),
        peers=SERVERS,
    ),
    Case(
        "memory",
        f"memory of the tree, {WORKERS} workers at rest",
        (Figure("memory", "MiB", more=False, digits=1),),
        memory,
        needs=("workers",),
        peers=SERVERS,
    ),
    Case(
        "reload",
        f"reloads under load, {WORKERS} workers: p99",
        (P99, *(Figure(name, "", more=False, total=True) for name in COUNTED)),
        reload,
        needs=("reload",),
    ),
)
