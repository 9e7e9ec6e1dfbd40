"""How long a slot stays empty after a death. Pure."""

from pyfork.record import entity

QUICK = 5.0  # seconds of serving; who dies younger died quickly
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0


@entity
class Backoff:
    """The memory of one slot.

    A first quick death costs nothing, since it may have been an accident; from the second on in
    a row the delay doubles. A long life wipes the slate.
    """

    quick_failures: int = 0
    retry_at: float = 0.0  # when the slot may be filled again

    def record_exit(self, now: float, lived: float) -> None:
        """Record a death at ``now``, after ``lived`` seconds of serving."""
        self.quick_failures = self.quick_failures + 1 if lived < QUICK else 0
        self.retry_at = now + _delay(self.quick_failures)


def _delay(quick_deaths: int) -> float:
    if quick_deaths < 2:
        return 0.0
    doublings = min(quick_deaths - 2, 16)  # beyond any limit, and no overflow
    return min(FIRST_DELAY * 2.0**doublings, LONGEST_DELAY)
