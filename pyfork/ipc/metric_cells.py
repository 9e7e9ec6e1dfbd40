"""The cells of request metrics: one block a worker process, and one for those that have ended.

A block has a histogram of durations for each method and class of status, the number of requests
for each status, the sums of the durations, bytes, and log records. A cell is 8 aligned bytes; its
one writer is the worker, or for the block of those that have ended, the arbiter.

While the arbiter adds the block of a worker that has ended to that block, and clears it, the
sequence number there is odd: a reader that sees an odd or another number reads again. So a total
never goes backwards.
"""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other")
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds; one more bucket has no bound."""

WIDTH = len(BUCKETS) + 1  # cells of one histogram
SERIES = len(METHODS) * len(CLASSES)
COUNTS = SERIES * WIDTH
STATUSES = COUNTS  # requests by status, from `FIRST_STATUS` on
FIRST_STATUS, STATUS_COUNT = 100, 500
# Behind the counts: the sums of durations, as floats, and then numbers again.
SUMS = STATUSES + STATUS_COUNT
RECEIVED = SUMS + SERIES  # bytes of request content
SENT = RECEIVED + 1  # bytes of response content
LOG_LEVELS = ("critical", "error", "warning", "exception")
LOGGED = range(SENT + 1, SENT + 1 + len(LOG_LEVELS))  # log records; an exception is no error here
HANDED_OFF = LOGGED.stop  # idle connections that another worker took
TLS_HANDSHAKES, TLS_FAILURES = HANDED_OFF + 1, HANDED_OFF + 2
EVENTS = (*LOGGED, HANDED_OFF, TLS_HANDSHAKES, TLS_FAILURES)
ACCEPTED = TLS_FAILURES + 1  # of the block of those that have ended: what the row of a worker has
ANSWERED = ACCEPTED + 1
IDLE_CLOSED = ANSWERED + 1
LOST = IDLE_CLOSED + 1
LOOP_LAG = LOST + 1  # seconds as a float, of a living worker: no sum
SEQUENCE = LOOP_LAG + 1
CELLS = SEQUENCE + 1
BLOCK_BYTES = CELLS * 8

_METHOD_OFFSET = {name: at * len(CLASSES) for at, name in enumerate(METHODS)}
_OTHER = _METHOD_OFFSET["other"]


def series_of(method: str, status: int) -> int:
    """The number of the histogram of a method and a status code."""
    return _METHOD_OFFSET.get(method, _OTHER) + min(max(status // 100, 1), 5) - 1


def names(series: int) -> tuple[str, str]:
    """Method and class of status of a histogram."""
    method, status = divmod(series, len(CLASSES))
    return METHODS[method], CLASSES[status]
