"""Counts a worker's requests by method, status and duration.

On the hot path a duration is appended to a list, and nothing else. Once a second, and at the
worker's end, the lists are sorted into buckets and written to the shared memory that others read. A
worker that is killed takes the last second with it.
"""

from bisect import bisect_right
from collections.abc import Callable

from pyfork.ipc.metric_cells import (
    BUCKETS,
    FIRST_STATUS,
    RECEIVED,
    SENT,
    STATUS_COUNT,
    STATUSES,
    SUMS,
    WIDTH,
    series_of,
)
from pyfork.metrics.log_counts import RecordCounts

Durations = list[float]  # seconds


class RequestRecorder:
    """Of one worker; ``block`` is its own in shared memory."""

    __slots__ = ("_block", "_logged", "_sums", "adders", "received", "sent")

    def __init__(self, block: memoryview, *, logs: bool = False) -> None:
        """``logs``: records of the log are counted, too."""
        self._block, self._sums = block.cast("q"), block.cast("d")
        self._logged = RecordCounts.install() if logs else None
        # By method and status: what adds a duration in seconds to the list of these.
        self.adders: dict[str, dict[int, Callable[[float], None]]] = {}
        self.received = 0  # bytes of request content
        self.sent = 0  # bytes of response content

    def add(self, method: str, status: int, seconds: float) -> None:
        """Count a request; the next of this kind can go to `adders`."""
        by_status = self.adders.setdefault(method, {})
        if status not in by_status:
            durations: Durations = []
            by_status[status] = durations.append
        by_status[status](seconds)

    def flush(self) -> None:
        """Write what was counted. `adders` are others from now on."""
        adders, self.adders = self.adders, {}  # a client cannot make it grow for longer
        for method, by_status in adders.items():
            for status, append in by_status.items():
                self._write(method, status, append.__self__)  # type: ignore[attr-defined]
        self._block[RECEIVED] += self.received
        self._block[SENT] += self.sent
        self.received = self.sent = 0
        if self._logged is not None:
            self._logged.write(self._block)

    def _write(self, method: str, status: int, durations: Durations) -> None:
        series = series_of(method, status)
        if 0 <= status - FIRST_STATUS < STATUS_COUNT:
            self._block[STATUSES + status - FIRST_STATUS] += len(durations)
        durations.sort()
        self._sums[SUMS + series] += sum(durations)
        before = 0
        for bucket, bound in enumerate((*BUCKETS, float("inf"))):
            below = bisect_right(durations, bound, before)
            if below > before:
                self._block[series * WIDTH + bucket] += below - before
                before = below
