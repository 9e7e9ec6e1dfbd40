"""The history of a server: the last exits of workers, and the last reloads and upgrades.

An entry is plain data, since it goes to clients and through an upgrade as it is. All are bounded,
and so is the text in each.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pyfork.arbiter.reporting import log_lines
from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.supervisor.supervisor import Supervisor

ENTRIES = 200
DETAIL_LIMIT = 4096  # characters at the end of a traceback

Entry = dict[str, Any]


_OUTCOMES = ("succeeded", "failed")
# Why a worker ended: told to; before it served; a signal that was not pyfork's; one that was, as
# after a hang; by itself.
_ENDS = ("left", "boot", "signal", "killed", "exit")
_NOTHING: Mapping[str, Mapping[str, int]] = {}


class History:
    """The last entries, oldest first."""

    def __init__(
        self, entries: Iterable[Entry] = (), counts: Mapping[str, Mapping[str, int]] = _NOTHING
    ) -> None:
        self._entries: deque[Entry] = deque(entries, ENTRIES)
        self.count = len(self._entries)  # entries ever made
        self.counts: dict[str, dict[str, int]] = {
            "worker": dict.fromkeys(_ENDS, 0),
            "reload": dict.fromkeys(_OUTCOMES, 0),
            "upgrade": dict.fromkeys(_OUTCOMES, 0),
        }  # of all entries ever made
        self.durations: dict[str, float] = {
            entry["kind"]: entry["duration"] for entry in self._entries if "duration" in entry
        }  # seconds of the last reload and upgrade
        for kind, counted in counts.items():
            self.counts[kind].update(counted)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def since(self, count: int) -> list[Entry]:
        """The entries that were made after ``count`` others, as far as they are kept."""
        new = min(self.count - count, len(self._entries))
        return list(self._entries)[len(self._entries) - new :]

    def add(self, kind: str, *, ok: bool, reason: str, detail: str = "", **facts: Any) -> None:
        """Add an entry, with the time of day in seconds since 1970."""
        self.count += 1
        self._entries.append(
            {
                "at": time.time(),
                "kind": kind,
                "ok": ok,
                "reason": reason,
                "detail": detail[-DETAIL_LIMIT:],
                **facts,
            }
        )

    def add_end(
        self, worker: WorkerProcess, reason: str, now: float, *, ok: bool, memory: int
    ) -> None:
        """Add the exit of a worker; ``ok``: it was told to.

        Args:
            memory: the most bytes that it had in RAM.
            now: monotonic seconds.
        """
        self.counts["worker"][_end(worker, reason, ok=ok)] += 1
        seen = worker.ready_at is not None and worker.interface != "script"
        failure = worker.boot_error
        self.add(
            "worker",
            ok=ok,
            reason=f"could not boot: {failure.reason}" if failure else reason,
            detail=failure.detail if failure else "",
            slot=worker.slot,
            pid=worker.pid,
            generation=worker.generation,
            served=worker.ready_at is not None,
            age=now - worker.born,
            requests=worker.row.requests if seen else None,
            memory=memory,
            in_flight=log_lines.activity(worker, now) if seen and not ok else "",
        )


def _end(worker: WorkerProcess, reason: str, *, ok: bool) -> str:
    """The key of `_ENDS` for an end."""
    if ok:
        return "left"
    if worker.ready_at is None:
        return "boot"
    if worker.kill_reason:
        return "killed"
    return "signal" if reason.startswith("killed by") else "exit"


def why_left(worker: WorkerProcess, supervisor: Supervisor) -> str:
    """Why a worker was told to exit."""
    if worker.recycle_reason:
        return f"replaced: {worker.recycle_reason}"
    if worker.generation != supervisor.serving.number:
        return f"generation {supervisor.serving.number} took its place"
    if supervisor.stop_requested:
        return "the server stops"
    return "its slot was drained" if worker.slot in supervisor.drained else "the server has shrunk"
