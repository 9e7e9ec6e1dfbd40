"""Children that are to end: who has not in time is killed."""

import contextlib
import os
import signal

KILL_AFTER = 3.0  # seconds in which a successor that is dismissed ends its workers and itself


class KillTimers:
    """Those that have not ended yet."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}  # by pid; monotonic seconds

    @property
    def deadline(self) -> float | None:
        """When to `act` if nothing happens before."""
        return min(self._until.values(), default=None)

    def leave(self, pid: int, now: float) -> None:
        """It was told to end, and can do that better than we can."""
        self._until[pid] = now + KILL_AFTER

    def kill(self, pid: int, now: float) -> None:
        """It is to end now."""
        self._until[pid] = now
        self.tick(now)

    def exited(self, pid: int) -> bool:
        """A child ended; whether it was one of these."""
        return self._until.pop(pid, None) is not None

    def tick(self, now: float) -> None:
        """Once a turn: kill those whose time is up."""
        for pid, until in self._until.items():
            if now >= until:
                self._until[pid] = now + KILL_AFTER
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
