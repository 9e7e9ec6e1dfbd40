"""Counts a worker's requests by method, class of status and duration.

On the hot path a duration is appended to a list, and nothing else. Once a second, and at the
worker's end, the lists are sorted into buckets and written to the shared memory that others read. A
worker that is killed takes the last second with it.
"""

from bisect import bisect_right

from pyfork.ipc.metric_cells import (
    BUCKETS,
    CLASSES,
    METHODS,
    RECEIVED,
    SENT,
    SUMS,
    WIDTH,
    series_of,
)

Durations = list[float]  # seconds


class DurationsByMethod(dict[str, list[Durations]]):
    """Method -> the durations of each class of status, by the first digit of the code."""

    def __missing__(self, method: str) -> list[Durations]:
        return self["other"]


class RequestRecorder:
    """Of one worker; ``block`` is its own in shared memory. The engine appends to its lists."""

    __slots__ = ("_cells", "_series", "_sums", "durations", "received", "sent")

    def __init__(self, block: memoryview) -> None:
        self._cells, self._sums = block.cast("q"), block.cast("d")
        self._series: list[Durations] = [[] for _ in range(len(METHODS) * len(CLASSES))]
        self.durations = DurationsByMethod(
            (method, [self._series[series_of(method, digit * 100)] for digit in range(10)])
            for method in METHODS
        )
        self.received: list[int] = []  # bytes of content, of each request that had some
        self.sent: list[int] = []  # bytes of content of each response

    def flush(self) -> None:
        """Write what was counted."""
        for series, durations in enumerate(self._series):
            if durations:
                self._write(series, durations)
                durations.clear()
        for cell, sizes in ((RECEIVED, self.received), (SENT, self.sent)):
            self._cells[cell] += sum(sizes)
            sizes.clear()

    def _write(self, series: int, durations: Durations) -> None:
        durations.sort()
        self._sums[SUMS + series] += sum(durations)
        before = 0
        for bucket, bound in enumerate((*BUCKETS, float("inf"))):
            below = bisect_right(durations, bound, before)
            if below > before:
                self._cells[series * WIDTH + bucket] += below - before
                before = below
