"""Children that have been told to exit, and are killed if they do not in time."""

import contextlib
import os
import signal

from pyfork.clock import earliest

KILL_AFTER = 3.0  # seconds in which a rejected arbiter ends its workers and itself


class KillTimers:
    """The children that have not exited yet."""

    def __init__(self) -> None:
        self._kill_at: dict[int, float] = {}  # by pid; monotonic seconds

    @property
    def deadline(self) -> float | None:
        """When `tick` has to be called at the latest."""
        return earliest(*self._kill_at.values())

    def start(self, pid: int, now: float) -> None:
        """The child was told to exit, and gets time to do so."""
        self._kill_at[pid] = now + KILL_AFTER

    def kill(self, pid: int, now: float) -> None:
        """Kill the child now."""
        self._kill_at[pid] = now
        self.tick(now)

    def exited(self, pid: int) -> bool:
        """A child exited. Returns whether it was one of these."""
        return self._kill_at.pop(pid, None) is not None

    def tick(self, now: float) -> None:
        """Kill the children whose time is over."""
        for pid, kill_at in self._kill_at.items():
            if now >= kill_at:
                self._kill_at[pid] = now + KILL_AFTER
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
