"""The sweep: every deadline of every connection, read once a second.

No timer is set on the path of a request. A connection that still waits for the same thing as a
second ago grows older; one that moved on starts anew. So a deadline is kept to a second.
"""

from pyfork.config.settings import Config
from pyfork.errors import ProtocolError
from pyfork.http.connection import Connection
from pyfork.http.engine import Engine
from pyfork.http.phase import Phase
from pyfork.record import record

# Bytes a second that a client must send of a body: as many as this makes in body_timeout count
# as progress, and a pause or a trickle does not.
MIN_BODY_RATE = 500

LINGER = 2.0  # seconds in which a client may read the last response before the socket closes

NEVER = float("inf")


@record
class Limits:
    """Seconds by phase."""

    by_phase: tuple[float, ...]

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
        return cls(tuple(seconds[phase] for phase in Phase))


def sweep(engine: Engine, limits: Limits, now: float) -> None:
    """Expire what is late. ``now`` is monotonic seconds."""
    for connection in list(engine.connections):
        phase = connection.phase
        limit = limits.by_phase[phase]
        progress = _progress(connection, phase, limit)
        mark = (phase, 0 if phase is Phase.WRITE else connection.serial, progress)
        # Only what the client takes is progress: more that waits for it is none.
        stalled = phase is Phase.WRITE and mark[0] == connection.mark[0]
        if stalled and progress < connection.mark[2]:
            connection.mark = mark
        elif mark != connection.mark:
            connection.mark = mark
            connection.since = now
            continue
        if phase is Phase.IDLE:
            connection.forget()  # thousands may idle; who comes back is read anew
        if engine.draining and engine.part is None and phase in (Phase.FRESH, Phase.IDLE):
            limit = min(limit, LINGER)
        if now - connection.since >= limit:
            expire(connection, phase, now - connection.since)


def _progress(connection: Connection, phase: Phase, limit: float) -> int:
    """A number that moves as bytes do. ``limit`` is the seconds that a phase may last without."""
    if phase is Phase.WRITE:
        return connection.taken()
    incoming = connection.incoming
    if incoming is None:
        return 0
    if phase is Phase.BODY:
        return int(incoming.received / (MIN_BODY_RATE * limit))
    return incoming.received  # an application that takes its time over a body gets on


def expire(connection: Connection, phase: Phase, age: float) -> None:
    """End what ``connection`` has waited for ``age`` seconds."""
    if phase in (Phase.HEAD, Phase.BODY):
        connection.refuse(ProtocolError(408, "the request took too long to arrive"))
    elif phase is Phase.APP:
        if connection.current is not None:
            connection.current.overdue(age)
    elif phase in (Phase.FRESH, Phase.IDLE):
        connection.transport.close()
    else:
        connection.abort()
