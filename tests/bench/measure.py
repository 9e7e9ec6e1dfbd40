"""The rounds: every peer in turn, round after round, so that a slow minute hits all alike."""

import platform
import shlex
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.cases.case import Bench, Case, Figure
from tests.bench.peers import PEERS, REFERENCES, Peer
from tests.bench.running import Unfit

ENOUGH = 2  # failures

INTERFACES = {peer.name: peer.interface for peer in PEERS}


@dataclass(frozen=True)
class Spread:
    """What several rounds say."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Result:
    """What one case has yielded so far.

    ``rounds`` are for each peer the figures of each round, ``failures`` the reasons why there is
    none of some.
    """

    name: str
    title: str
    figures: list[Figure]
    rounds: dict[str, list[list[float]]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def spread(self, peer: str, number: int = 0) -> Spread:
        """Of one figure. Raises KeyError if the peer has none."""
        return Spread.of([figures[number] for figures in self.rounds[peer]])

    def ratio(self, peer: str) -> float | None:
        """pyfork's first figure by the peer's, if both are there and not zero."""
        reference = REFERENCES[INTERFACES[peer]]
        if peer == reference or not {peer, reference} <= set(self.rounds):
            return None
        ours, theirs = self.spread(reference).median, self.spread(peer).median
        return ours / theirs if theirs else None

    def peers(self) -> list[str]:
        """Those that have figures: by interface, the best first."""
        sign = -1 if self.figures[0].more else 1
        interfaces = list(REFERENCES)
        return sorted(
            self.rounds,
            key=lambda peer: (
                interfaces.index(INTERFACES[peer]),
                sign * self.spread(peer).median,
            ),
        )


@dataclass
class Run:
    """All that one command has measured, and with what."""

    command: str
    date: str
    machine: str
    python: str
    rounds: int
    seconds: int
    versions: dict[str, str]
    results: list[Result] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Run":
        """What `as_dict` gave."""
        results = [
            Result(**{**each, "figures": [Figure(**figure) for figure in each["figures"]]})
            for each in fields["results"]
        ]
        return cls(**{**fields, "results": results})


def new_run(peers: Iterable[Peer], words: Sequence[str], rounds: int, seconds: int) -> Run:
    """One that has measured nothing yet; ``words`` of the command line say what it shall."""
    return Run(
        command=shlex.join(["python", "-m", "tests.bench", *words]),
        date=time.strftime("%Y-%m-%d"),
        machine=machine(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        rounds=rounds,
        seconds=seconds,
        versions={peer.name: peer.versions for peer in peers if not peer.missing()},
    )


def machine() -> str:
    """Processor, cores, memory and kernel."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    model = models[0] if models else platform.machine()
    kernel = platform.release().partition("-")[0]
    return f"{model}, {len(models)} cores, {memory:.0f} GiB, Linux {kernel}"


def measure(
    case: Case, peers: Sequence[Peer], bench: Bench, rounds: int, say: Callable[[str], None]
) -> Result:
    """Ask all that fit. Who fails twice is not asked again."""
    result = Result(case.name, case.title, list(case.figures))
    fitting = [peer for peer in peers if case.fits(peer)]
    for number in range(rounds):
        turn = number % max(1, len(fitting))
        for peer in (*fitting[turn:], *fitting[:turn]):
            if len(result.failures.get(peer.name, ())) < ENOUGH:
                said = _attempt(result, case, peer, bench)
                say(f"{case.name} {number + 1}/{rounds} {peer.name}: {said}")
    return result


def _attempt(result: Result, case: Case, peer: Peer, bench: Bench) -> str:
    """One peer's round, kept in ``result``; what has come of it."""
    try:
        figures = _once(case, peer, bench)
    except Unfit as reason:
        result.failures.setdefault(peer.name, []).append(str(reason))
        return str(reason)
    result.rounds.setdefault(peer.name, []).append(figures)
    pairs = zip(figures, case.figures, strict=True)
    return ", ".join(f"{value:,.{figure.digits}f} {figure.unit}" for value, figure in pairs)


def _once(case: Case, peer: Peer, bench: Bench) -> list[float]:
    """The figures of one round. Raises Unfit, also for what a client of ours stumbles over."""
    if missing := peer.missing():
        raise Unfit(f"not installed: {missing}")
    try:
        return list(case.measure(bench, peer))
    except (OSError, AssertionError, subprocess.SubprocessError) as error:
        raise Unfit(f"{type(error).__name__}: {error}") from error
