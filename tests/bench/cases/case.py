"""What a case is, and what it gets to work with."""

import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from tests.bench.load import Ask
from tests.bench.peers import LACKS, MAIN, Peer, Start
from tests.bench.running import PATIENCE, Cores, Running, Unfit, unverified
from tests.harness.ports import free_port


@dataclass(frozen=True)
class Figure:
    """One number that a case yields."""

    name: str
    unit: str
    more: bool  # more is better, or less
    digits: int = 0  # behind the point
    total: bool = False  # of all rounds the sum counts, and not the median
    rare: bool = False  # shown only where it is not zero


RATE = Figure("rate", "requests/s", more=True)
LOST = Figure("socket errors", "", more=False, total=True, rare=True)
P99 = Figure("p99", "ms", more=False, digits=1)
THROUGHPUT = Figure("throughput", "MiB/s", more=True)


@dataclass(frozen=True)
class Bench:
    """How much is measured, and where."""

    cores: Cores
    seconds: int = 4
    connections: int = 64
    reloads: int = 2

    @contextmanager
    def serve(
        self,
        peer: Peer,
        app: str,
        *,
        workers: int = 1,
        log: bool = False,
        idle: int = 0,
        env: dict[str, str] | None = None,
        ready: bool = True,
        tls: Path | None = None,
    ) -> Iterator[Running]:
        """A server; with ``ready`` it answers, and all its workers have booted.

        Without, how soon it does is measured, and it has every core. With ``idle`` it is told to
        keep so many connections. With ``tls`` it speaks TLS, by the files in that directory.
        """
        several = self.cores.many if ready else self.cores.every
        on = self.cores.one if workers == 1 else several
        with tempfile.TemporaryDirectory() as directory:
            access = Path(directory) / "access.log" if log else None
            start = Start(app, free_port(), workers, access, idle, tls)
            with Running(peer, start, on, env) as server:
                if ready:
                    server.wait_answers()
                    if workers > 1:
                        server.wait_rest()
                yield server


@dataclass(frozen=True)
class Case:
    """One question, which each peer is asked in turn."""

    name: str
    title: str
    figures: tuple[Figure, ...]  # the first one is what peers are compared by
    measure: Callable[[Bench, Peer], Collection[float]]  # a value for each; may raise Unfit
    interface: str = ""  # asked of those that have it; of both without
    needs: Collection[str] = ()  # of a peer's features
    peers: Collection[str] = MAIN  # asked if nobody else is named; all if empty

    def asks(self, peers: Sequence[Peer], *, named: bool) -> list[Peer]:
        """Those of ``peers`` that are asked; ``named`` are all of them asked for by name."""
        return [
            peer
            for peer in peers
            if self.interface in ("", peer.interface)
            and (named or not self.peers or peer.name in self.peers)
        ]

    def lacks(self, peer: Peer) -> str:
        """Why the peer cannot be asked, or nothing."""
        return ", ".join(LACKS[need] for need in self.needs if need not in peer.features)


def check(port: int, ask: Ask, *, tls: bool = False) -> None:
    """Ask once. Raises Unfit if the answer is not what it must be."""
    ask = ask.first()
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    if tls:
        connection = HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=unverified())
    try:
        connection.request(ask.method, ask.path, ask.body or None, dict(ask.fields or ()))
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException) as error:
        raise Unfit(f"no whole answer: {error!r}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise Unfit(f"it answers {response.status} {body[:80]!r}")
    expected = ask.expect if isinstance(ask.expect, int) else len(ask.expect or b"")
    if len(body) != expected or (isinstance(ask.expect, bytes) and body != ask.expect):
        raise Unfit(f"it answers {len(body)} bytes, {body[:40]!r}, and not {expected}")


def of_interface(peer: Peer, name: str) -> str:
    """The application of this name that the peer can run."""
    return f"tests.bench.apps.{peer.interface}:{name}"


def raise_file_limit(wanted: int) -> None:
    """As far as that is allowed, for this process and all that it starts."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, wanted), hard), hard))


def pin_load(cores: Cores) -> None:
    """This process, and wrk which it starts, are the load."""
    os.sched_setaffinity(0, {cores.load})
