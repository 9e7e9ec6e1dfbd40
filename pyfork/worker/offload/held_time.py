"""How long application code has held the loop's thread.

On a machine without a free core, a quick request takes long because the thread is ready and does
not run. Other workers have no core either, so handing connections to them would only cost time.
Linux tells how long a thread was ready and had no CPU; that time does not count.

Rules: only the helper thread calls `sample` and `held`.
"""

import os
import threading
from contextlib import suppress


class HeldTime:
    """Measures the thread that makes it."""

    def __init__(self) -> None:
        self._file: int | None = None
        with suppress(OSError):  # not Linux: all time counts
            path = f"/proc/self/task/{threading.get_native_id()}/schedstat"
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._delay = 0.0  # seconds without a CPU, at the last sample
        self._started = 0.0  # of the request that was measured last
        self._lost = 0.0  # seconds of it without a CPU

    def sample(self) -> float:
        """Return the seconds without a CPU since the last sample."""
        before, self._delay = self._delay, self._read()
        return self._delay - before

    def held(self, started: float, now: float) -> float:
        """Return how long the request that ``started`` then has held the thread.

        Times are monotonic seconds. It is no less than this: of the time without a CPU since the
        last sample, a part may be before the request.
        """
        lost = self.sample()
        if started != self._started:
            self._started, self._lost = started, 0.0
        self._lost = min(self._lost + lost, now - started)
        return now - started - self._lost

    def _read(self) -> float:
        if self._file is None:
            return 0.0
        try:
            return int(os.pread(self._file, 64, 0).split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return self._delay
