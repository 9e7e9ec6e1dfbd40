"""The rounds: each asks every peer in every case, so that a slow minute spoils few of a median."""

import shlex
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.cases.case import Bench, Case, Figure
from tests.bench.machine import machine, python
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

    ``rounds`` are for each peer the figures of each round, ``failures`` the reasons why there are
    none of some, ``lacks`` why a peer is not asked at all.
    """

    name: str
    title: str
    figures: list[Figure]
    rounds: dict[str, list[list[float]]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)

    def spread(self, peer: str, number: int = 0) -> Spread:
        """Of one figure. Raises KeyError if the peer has none."""
        return Spread.of([figures[number] for figures in self.rounds[peer]])

    def value(self, peer: str, number: int = 0) -> float:
        """What all rounds say: the median, of some figures the sum. Raises KeyError as `spread`."""
        if self.figures[number].total:
            return sum(figures[number] for figures in self.rounds[peer])
        return self.spread(peer, number).median

    def shown(self, peers: Iterable[str]) -> list[tuple[int, Figure]]:
        """The figures that have something to tell of these peers, with their places."""
        own = [peer for peer in peers if peer in self.rounds]
        return [
            (place, figure)
            for place, figure in enumerate(self.figures)
            if not figure.rare or any(self.value(peer, place) for peer in own)
        ]

    def is_due(self, peer: str, number: int) -> bool:
        """Whether it is to be asked in this round: who was, cannot, or fails twice, is not."""
        failed = len(self.failures.get(peer, ()))
        asked = failed + len(self.rounds.get(peer, ()))
        return peer not in self.lacks and failed < ENOUGH and asked <= number

    def ratio(self, peer: str) -> float | None:
        """pyfork's first figure by the peer's, if both are there and not zero."""
        reference = REFERENCES[INTERFACES[peer]]
        if peer == reference or not {peer, reference} <= set(self.rounds):
            return None
        ours, theirs = self.value(reference), self.value(peer)
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

    def result(self, case: Case) -> Result:
        """Of this case; a new one if there is none."""
        for result in self.results:
            if result.name == case.name:
                return result
        self.results.append(Result(case.name, case.title, list(case.figures)))
        return self.results[-1]

    def same_place(self, other: "Run") -> bool:
        """Whether its figures were got with the same load, machine, interpreter and servers."""
        names = ("seconds", "machine", "python")
        known = self.versions | other.versions
        return all(getattr(self, name) == getattr(other, name) for name in names) and all(
            known[name] == version for name, version in self.versions.items()
        )

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
        python=python(),
        rounds=rounds,
        seconds=seconds,
        versions={peer.name: peer.versions for peer in peers if not peer.missing()},
    )


def measure(
    run: Run,
    plan: Sequence[tuple[Case, Sequence[Peer]]],
    bench: Bench,
    say: Callable[[str], None],
    keep: Callable[[Run], None],
) -> None:
    """Ask the peers of each case what ``run`` does not have yet, and ``keep`` it each time."""
    for case, peers in plan:
        result = run.result(case)
        for peer in peers:
            missing = peer.missing()
            if reason := (f"not installed: {missing}" if missing else case.lacks(peer)):
                result.lacks[peer.name] = reason
    for number in range(run.rounds):
        for case, peers in plan:
            result = run.result(case)
            turn = number % max(1, len(peers))
            for peer in (*peers[turn:], *peers[:turn]):
                if result.is_due(peer.name, number):
                    began = time.monotonic()
                    came = _attempt(result, case, peer, bench)
                    took = time.monotonic() - began
                    keep(run)
                    say(f"{number + 1}/{run.rounds} {case.name} {peer.name}: {came} ({took:.1f} s)")


def _attempt(result: Result, case: Case, peer: Peer, bench: Bench) -> str:
    """One peer's round, kept in ``result``; what has come of it."""
    try:
        figures = _once(case, peer, bench)
    except Unfit as reason:
        result.failures.setdefault(peer.name, []).append(str(reason))
        return str(reason)
    result.rounds.setdefault(peer.name, []).append(figures)
    return ", ".join(
        f"{value:,.{figure.digits}f} {figure.unit or figure.name}"
        for value, figure in zip(figures, case.figures, strict=True)
        if value or not figure.rare
    )


def _once(case: Case, peer: Peer, bench: Bench) -> list[float]:
    """The figures of one round. Raises Unfit, also for what a client of ours stumbles over."""
    try:
        return list(case.measure(bench, peer))
    except (OSError, ValueError, AssertionError, subprocess.SubprocessError) as error:
        raise Unfit(f"{type(error).__name__}: {error}") from error
