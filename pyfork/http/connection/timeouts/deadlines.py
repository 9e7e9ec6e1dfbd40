"""Deadlines of a connection by phase. Pure: no socket, no clock.

There are two kinds. A head, or the pause between two requests, has a time that no byte extends. A
body or a response of any length has a minimum rate: a certain number of bytes must move in a
certain time. So both a pause and a trickle end a connection.
"""

from math import inf

from pyfork.config.config import Config
from pyfork.http.connection.timeouts.phase import ConnectionPhase
from pyfork.record import record

LINGER = 2.0  # seconds for a client to read the last response before the socket closes

NEVER = inf

# The setting, in seconds, for each phase; 0 means no limit, except for keep-alive.
SETTINGS = {
    ConnectionPhase.FRESH: "header_timeout",
    ConnectionPhase.IDLE: "keep_alive",
    ConnectionPhase.HEAD: "header_timeout",
    ConnectionPhase.BODY: "body_timeout",
    ConnectionPhase.APP: "request_timeout",
    ConnectionPhase.WRITE: "write_timeout",
}
# The setting for the minimum rate in bytes per second.
RATES = {ConnectionPhase.BODY: "body_min_rate", ConnectionPhase.WRITE: "write_min_rate"}

AT_REST = frozenset((ConnectionPhase.FRESH, ConnectionPhase.IDLE))


@record
class Timeouts:
    """The time limit of each phase, and the progress that restarts it."""

    seconds: tuple[float, ...]
    progress: tuple[float, ...]  # bytes that must move within the limit

    @classmethod
    def from_config(cls, config: Config) -> "Timeouts":
        """Return the timeouts of ``config``."""
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
    """Return the bytes that count as progress; without a rate or a limit, any byte does."""
    return max(1.0, seconds * rate) if seconds < NEVER else 1.0


class Wait:
    """The phase of one connection and its start. Times are in monotonic seconds."""

    __slots__ = ("_base", "_first", "_serial", "phase", "since")

    def __init__(self) -> None:
        self.phase: ConnectionPhase | None = None
        self._serial = -1  # of the request
        self._first = -1.0  # when the first byte of its head was seen
        self.since = 0.0
        self._base = 0  # bytes that had moved then

    def age(
        self, phase: ConnectionPhase, serial: int, moved: int, now: float, *, progress: float
    ) -> float:
        """Return the seconds in ``phase`` without progress.

        ``serial`` numbers the request on its connection. ``moved`` counts bytes that were
        received, or that the client has taken. ``progress`` is the number of them that restarts
        the time.
        """
        before, self.phase = self.phase, phase
        if serial != self._serial:
            self._serial = serial
            self._first = -1.0
            if phase is not ConnectionPhase.WRITE:  # further requests do not make a client read
                before = None
        if phase is not before and not (phase in AT_REST and before is ConnectionPhase.HEAD):
            self._begin(phase, moved, now)
        elif phase in RATES:
            if moved - self._base >= progress:
                self._begin(phase, moved, now)
            else:
                self._base = min(self._base, moved)
        elif moved != self._base:  # an application may read a body slowly
            self._begin(phase, moved, now)
        return now - self.since

    def _begin(self, phase: ConnectionPhase, moved: int, now: float) -> None:
        """Restart the time. A head has begun with its first byte, empty lines included."""
        if phase is ConnectionPhase.HEAD:
            self._first = now = self._first if self._first >= 0 else now
        self.since = now
        self._base = moved
