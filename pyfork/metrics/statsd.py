"""Metrics for StatsD, under gunicorn's names.

gunicorn sends each request when it ends. Here the figures of all workers are sent once a second, so
that no request waits for a system call: counters as the difference, durations as one line for each
bucket of the histogram, with the sample rate that makes the receiver count all of them.

Rules: pure; knows lines, no socket.
"""

import re
from collections.abc import Iterator, Sequence

from pyfork.ipc import metric_cells as cells

_BOUNDS = (0.0, *cells.BUCKETS)


class StatsdLines:
    """Makes the lines of each second from the totals of the scoreboard."""

    def __init__(self, prefix: str, tags: str, numbers: Sequence[int], sums: Sequence[float]):
        """``prefix`` gets a dot at its end, as in gunicorn; ``tags`` are DogStatsD's."""
        self._prefix = re.sub(r"^(.+[^.]+)\.*$", "\\g<1>.", prefix)
        self._tags = f"|#{tags}" if tags else ""
        self._numbers, self._sums = numbers, sums

    def make(self, numbers: Sequence[int], sums: Sequence[float], workers: int) -> Iterator[bytes]:
        """The lines of what was counted since the last call, and the number of workers."""
        before, self._numbers = self._numbers, numbers
        sums_before, self._sums = self._sums, sums
        new = [now - then for now, then in zip(numbers, before, strict=True)]
        yield self._line("gunicorn.workers", f"{workers}|g")
        requests = sum(new[: cells.COUNTS])
        if requests:
            yield self._line("gunicorn.requests", f"{requests}|c|@1.0")
        for status, count in enumerate(new[cells.STATUSES : cells.SUMS], cells.FIRST_STATUS):
            if count:
                yield self._line(f"gunicorn.request.status.{status}", f"{count}|c|@1.0")
        for series in range(cells.SERIES):
            counts = new[series * cells.WIDTH : (series + 1) * cells.WIDTH]
            if any(counts):
                yield from self._durations(counts, sums[series] - sums_before[series])
        for level, cell in zip(cells.LOG_LEVELS, cells.LOGGED, strict=True):
            if new[cell]:
                yield self._line(f"gunicorn.log.{level}", f"{new[cell]}|c|@1.0")

    def _durations(self, counts: Sequence[int], total: float) -> Iterator[bytes]:
        """A line for each bucket; the values fit the buckets and, as far as they can, the sum."""
        middles = [*map(_middle, range(len(counts)))]
        guess = sum(count * each for count, each in zip(counts, middles, strict=True))
        for bucket, count in enumerate(counts):
            if count:
                low = _BOUNDS[bucket]
                high = _BOUNDS[bucket + 1] if bucket + 1 < len(_BOUNDS) else float("inf")
                seconds = min(max(middles[bucket] * total / guess, low), high)
                rate = "" if count == 1 else f"|@{1 / count:.9g}"
                value = f"{seconds * 1000:.6g}|ms{rate}"
                yield self._line("gunicorn.request.duration", value)

    def _line(self, name: str, value: str) -> bytes:
        return f"{self._prefix}{name}:{value}{self._tags}".encode("ascii", "replace")


def _middle(bucket: int) -> float:
    """Seconds in the middle of a bucket; the last one has no end."""
    if bucket + 1 == len(_BOUNDS):
        return 1.5 * _BOUNDS[-1]
    return (_BOUNDS[bucket] + _BOUNDS[bucket + 1]) / 2
