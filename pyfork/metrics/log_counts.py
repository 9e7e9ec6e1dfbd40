"""Counts this process's log records by level, for StatsD. Only where that is configured."""

import logging

from pyfork.ipc.metric_cells import LOGGED

_LOGGER = "pyfork.error"


class RecordCounts(logging.Filter):
    """Lets every record pass. ``counts`` are in the order of `metric_cells.LOG_LEVELS`."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = [0] * len(LOGGED)

    @classmethod
    def install(cls) -> "RecordCounts":
        """Count from now on, in place of what a process before the fork counted."""
        logger = logging.getLogger(_LOGGER)
        for each in logger.filters.copy():
            if isinstance(each, cls):
                logger.removeFilter(each)
        counts = cls()
        logger.addFilter(counts)
        return counts

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.CRITICAL:
            self.counts[0] += 1
        elif record.levelno >= logging.ERROR:
            self.counts[3 if record.exc_info else 1] += 1
        elif record.levelno >= logging.WARNING:
            self.counts[2] += 1
        return True

    def write(self, block: memoryview) -> None:
        """Add them to the cells of ``block``, and begin anew."""
        for cell, count in zip(LOGGED, self.counts, strict=True):
            if count:
                block[cell] += count
        self.counts = [0] * len(LOGGED)
