"""Deadlines of a connection, in the phase that it is in. Pure: no socket, no clock.

Two kinds. What a client does in one go (a head, the pause between two requests) has a time that
no byte prolongs. What has any length (a body, a response) has a time in which so many bytes must
move as its minimum rate makes: a pause ends a connection, and so does a trickle.
"""

from math import inf

from pyfork.config.config import Config
from pyfork.http.connection.phase import Phase
from pyfork.record import record

LINGER = 2.0  # seconds in which a client may read the last response before the socket closes

NEVER = inf

AT_REST = frozenset((Phase.FRESH, Phase.IDLE))
_RATED = frozenset((Phase.BODY, Phase.WRITE))


@record
class Limits:
    """For each phase, how long it may last, and what ends that time to begin anew."""

    seconds: tuple[float, ...]
    progress: tuple[float, ...]  # bytes that must move in so many seconds

    @classmethod
    def from_config(cls, config: Config) -> "Limits":
        """The limits of a configuration; zero means no limit, save for keep-alive."""
        seconds = {
            Phase.FRESH: config.header_timeout or NEVER,
            Phase.IDLE: config.keep_alive,
            Phase.HEAD: config.header_timeout or NEVER,
            Phase.BODY: config.body_timeout or NEVER,
            Phase.APP: config.timeout or NEVER,
            Phase.STREAM: NEVER,
            Phase.WRITE: config.write_timeout or NEVER,
            Phase.LINGER: LINGER,
        }
        rates = {Phase.BODY: config.body_min_rate, Phase.WRITE: config.write_min_rate}
        return cls(
            tuple(seconds[phase] for phase in Phase),
            tuple(_progress(seconds[phase], rates.get(phase, 0)) for phase in Phase),
        )


def _progress(seconds: float, rate: int) -> float:
    """Without a rate, or without a time, any byte is progress."""
    return max(1.0, seconds * rate) if seconds < NEVER else 1.0


class Wait:
    """What one connection waits for, and since when. Times are in monotonic seconds."""

    __slots__ = ("_base", "_first", "_serial", "phase", "since")

    def __init__(self) -> None:
        self.phase: Phase | None = None
        self._serial = -1  # of the request that it is about
        self._first = -1.0  # when the first byte of its head was seen
        self.since = 0.0
        self._base = 0  # bytes that had moved then

    def age(self, phase: Phase, serial: int, moved: int, now: float, *, progress: float) -> float:
        """Seconds that it has waited in ``phase``, without progress.

        ``serial`` is the number of the request on its connection. ``moved`` counts the bytes that
        have come, or that the client has taken. ``progress`` is how many of them begin the time
        anew.
        """
        before, self.phase = self.phase, phase
        if serial != self._serial:
            self._serial = serial
            self._first = -1.0
            if phase is not Phase.WRITE:  # more requests do not make a client read
                before = None
        if phase is not before and not (phase in AT_REST and before is Phase.HEAD):
            self._begin(phase, moved, now)
        elif phase in _RATED:
            if moved - self._base >= progress:
                self._begin(phase, moved, now)
            else:
                self._base = min(self._base, moved)
        elif moved != self._base:  # an application that takes its time over a body gets on
            self._begin(phase, moved, now)
        return now - self.since

    def _begin(self, phase: Phase, moved: int, now: float) -> None:
        """Begin anew; but a head has begun when its first byte was seen, empty lines or not."""
        if phase is Phase.HEAD:
            self._first = now = self._first if self._first >= 0 else now
        self.since = now
        self._base = moved
