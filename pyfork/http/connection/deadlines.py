"""Deadlines of a connection, in the phase that it is in. Pure: no socket, no clock.

Two kinds. What a client does in one go (a head, the pause between two requests) has a time that
no byte prolongs. What has any length (a body, a response) has a time in which so many bytes must
move as its minimum rate makes: a pause ends a connection, and so does a trickle.
"""

from math import inf

from pyfork.config.config import Config
from pyfork.http.connection.phase import ConnectionPhase
from pyfork.record import record

LINGER = 2.0  # seconds in which a client may read the last response before the socket closes

NEVER = inf

# The setting that limits each phase, in seconds; 0 means no limit, save for keep-alive.
SETTINGS = {
    ConnectionPhase.FRESH: "header_timeout",
    ConnectionPhase.IDLE: "keep_alive",
    ConnectionPhase.HEAD: "header_timeout",
    ConnectionPhase.BODY: "body_timeout",
    ConnectionPhase.APP: "timeout",
    ConnectionPhase.WRITE: "write_timeout",
}
# The setting for the bytes a second that have to move meanwhile.
RATES = {ConnectionPhase.BODY: "body_min_rate", ConnectionPhase.WRITE: "write_min_rate"}

AT_REST = frozenset((ConnectionPhase.FRESH, ConnectionPhase.IDLE))


@record
class Timeouts:
    """For each phase, how long it may last, and what ends that time to begin anew."""

    seconds: tuple[float, ...]
    progress: tuple[float, ...]  # bytes that must move in so many seconds

    @classmethod
    def from_config(cls, config: Config) -> "Timeouts":
        """The limits of a configuration."""
        seconds: dict[ConnectionPhase, float] = {
            phase: getattr(config, name) or NEVER for phase, name in SETTINGS.items()
        }
        seconds[ConnectionPhase.IDLE] = config.keep_alive
        seconds |= {ConnectionPhase.STREAM: NEVER, ConnectionPhase.LINGER: LINGER}
        rates: dict[ConnectionPhase, int] = {
            phase: getattr(config, name) for phase, name in RATES.items()
        }
        return cls(
            tuple(seconds[phase] for phase in ConnectionPhase),
            tuple(_progress(seconds[phase], rates.get(phase, 0)) for phase in ConnectionPhase),
        )


def _progress(seconds: float, rate: int) -> float:
    """Without a rate, or without a time, any byte is progress."""
    return max(1.0, seconds * rate) if seconds < NEVER else 1.0


class Wait:
    """What one connection waits for, and since when. Times are in monotonic seconds."""

    __slots__ = ("_base", "_first", "_serial", "phase", "since")

    def __init__(self) -> None:
        self.phase: ConnectionPhase | None = None
        self._serial = -1  # of the request that it is about
        self._first = -1.0  # when the first byte of its head was seen
        self.since = 0.0
        self._base = 0  # bytes that had moved then

    def age(
        self, phase: ConnectionPhase, serial: int, moved: int, now: float, *, progress: float
    ) -> float:
        """Seconds that it has waited in ``phase``, without progress.

        ``serial`` is the number of the request on its connection. ``moved`` counts the bytes that
        have come, or that the client has taken. ``progress`` is how many of them begin the time
        anew.
        """
        before, self.phase = self.phase, phase
        if serial != self._serial:
            self._serial = serial
            self._first = -1.0
            if phase is not ConnectionPhase.WRITE:  # more requests do not make a client read
                before = None
        if phase is not before and not (phase in AT_REST and before is ConnectionPhase.HEAD):
            self._begin(phase, moved, now)
        elif phase in RATES:
            if moved - self._base >= progress:
                self._begin(phase, moved, now)
            else:
                self._base = min(self._base, moved)
        elif moved != self._base:  # an application that takes its time over a body gets on
            self._begin(phase, moved, now)
        return now - self.since

    def _begin(self, phase: ConnectionPhase, moved: int, now: float) -> None:
        """Begin anew; but a head has begun when its first byte was seen, empty lines or not."""
        if phase is ConnectionPhase.HEAD:
            self._first = now = self._first if self._first >= 0 else now
        self.since = now
        self._base = moved
