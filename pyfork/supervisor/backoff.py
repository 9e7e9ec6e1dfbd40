"""The delay before a worker that exited is replaced. Pure."""

from pyfork.record import entity

QUICK = 5.0  # seconds of serving: an exit before that is a quick failure
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0


@entity
class Backoff:
    """The back-off of one slot.

    The first quick failure costs no delay, since it may be an accident. From the second in a row on
    the delay doubles. A worker that served for longer than `QUICK` resets it.
    """

    quick_failures: int = 0
    retry_at: float = 0.0  # when the slot may be filled again

    def record_exit(self, now: float, uptime: float) -> None:
        """Record an exit at ``now``, after ``uptime`` seconds of serving."""
        self.quick_failures = self.quick_failures + 1 if uptime < QUICK else 0
        self.retry_at = now + _delay(self.quick_failures)


def _delay(quick_failures: int) -> float:
    if quick_failures < 2:
        return 0.0
    doublings = min(quick_failures - 2, 16)  # more than the limit needs, and no overflow
    return min(FIRST_DELAY * 2.0**doublings, LONGEST_DELAY)
