"""Whether the arbiter is about to kill this worker. Pure: no clock.

On a machine that was suspended all deadlines have passed. So each is checked twice, and the second
check counts only if it is not late. The arbiter does the same, with a longer pause.
"""

from collections.abc import Callable
from math import inf

_PAUSE = 0.3  # seconds between the two checks; the arbiter's is 0.5
_LATE = 0.2  # seconds: a second check later than this does not count


class HeartbeatCheck:
    """Checks the heartbeat deadline of one worker."""

    def __init__(self, deadline: Callable[[], float]) -> None:
        """``deadline`` returns it in monotonic seconds; 0 without one."""
        self._deadline = deadline
        self._second = 0.0  # when the second check is due

    def time_left(self, now: float) -> float:
        """Return the seconds until the next check; 0 if the worker is about to be killed."""
        deadline = self._deadline()  # the application may move it
        if not deadline or deadline > now:
            self._second = 0.0
            return deadline - now if deadline else inf
        if not self._second or now - self._second > _LATE:
            self._second = now + _PAUSE
        return max(0.0, self._second - now)
