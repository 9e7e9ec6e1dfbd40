"""What can become of a request, counted apart, and the report that the client ends with."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """Everything that can become of a request, or of a connection between two of them."""

    OK = "ok"
    REFUSED = "refused"
    LOST_FRESH = "lost on a fresh connection"
    LOST_KEPT = "lost on a kept connection"
    TRUNCATED = "truncated"
    STATUS = "wrong status"
    CONTENT = "wrong content"
    CLOSED_IDLE = "closed while idle"
    TOLD_TO_CLOSE = "told to close"
    SILENT = "no answer"


MEANING = {
    Outcome.OK: "answered whole, with the content that it must have",
    Outcome.REFUSED: "no connection",
    Outcome.LOST_FRESH: "reset or end before any byte of the first response",
    Outcome.LOST_KEPT: "reset or end before any byte of a later response",
    Outcome.TRUNCATED: "reset or end within a response",
    Outcome.STATUS: "a status other than 200",
    Outcome.CONTENT: "bytes that no correct server sends",
    Outcome.CLOSED_IDLE: "the server closed a kept connection between requests",
    Outcome.TOLD_TO_CLOSE: "answered, with a Connection: close that nobody asked for",
    Outcome.SILENT: "nothing for as long as the client has patience",
}


class Loss(Exception):
    """A request that did not come to OK."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome


@dataclass(slots=True)
class Version:
    """What one version of the code has answered."""

    answers: int
    first: float  # seconds after the start
    last: float


@dataclass(slots=True)
class Report:
    """All that one run of the client saw. Times are in seconds."""

    seed: str
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    kinds: dict[str, int] = field(default_factory=dict)  # requests that were answered, by kind
    versions: dict[str, Version] = field(default_factory=dict)
    longest_small: float = 0.0
    waits: list[float] = field(default_factory=list)  # of small requests
    lasted: float = 0.0
    incidents: list[str] = field(default_factory=list)  # the first of what was not OK

    @property
    def losses(self) -> dict[str, int]:
        """The classes, other than OK, that are not zero."""
        return {name: n for name, n in self.counts.items() if n and name != Outcome.OK}

    @property
    def p99(self) -> float:
        """What 99 of 100 small requests did not wait longer than."""
        return sorted(self.waits)[len(self.waits) * 99 // 100]

    def count(self, outcome: Outcome, incident: str = "") -> None:
        """Count; ``incident`` tells what is not OK."""
        self.counts[outcome] += 1
        if incident and len(self.incidents) < 40:
            self.incidents.append(f"{outcome}: {incident}")

    def answered(self, kind: str, version: str, now: float, took: float) -> None:
        """Count an answer that is as it must be."""
        self.count(Outcome.OK)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        seen = self.versions.setdefault(version, Version(0, now, now))
        seen.answers += 1
        seen.last = now
        if kind == "small":
            self.longest_small = max(self.longest_small, took)
            self.waits.append(took)

    def table(self) -> str:
        """For people."""
        rows = [f"{n:8}  {name:28}{MEANING[Outcome(name)]}" for name, n in self.counts.items()]
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(self.kinds).items()))
        versions = ", ".join(
            f"{name} from {each.first:.2f} to {each.last:.2f} s"
            for name, each in self.versions.items()
        )
        return "\n".join(
            [
                f"seed {self.seed}, {self.lasted:.1f} s",
                *rows,
                f"answered: {kinds}",
                f"versions: {versions}",
                f"longest wait of a small request: {self.longest_small * 1000:.0f} ms",
                *self.incidents,
            ]
        )

    def json(self) -> str:
        """For programs; `from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """What `json` wrote."""
        fields = json.loads(text)
        fields["versions"] = {name: Version(**each) for name, each in fields["versions"].items()}
        return cls(**fields)
