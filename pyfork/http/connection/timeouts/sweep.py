"""The sweep: checks every deadline of every connection once a second.

Requests set no timer; deadlines are accurate to a second.
"""

from collections.abc import Callable
from time import monotonic

from pyfork.errors import ProtocolError
from pyfork.http.connection.connection import Connection
from pyfork.http.connection.engine import Engine
from pyfork.http.connection.timeouts.deadlines import LINGER, Timeouts, Wait
from pyfork.http.connection.timeouts.phase import ConnectionPhase
from pyfork.http.request.parsing import ParserState


def sweep(engine: Engine[Connection], limits: Timeouts, now: float) -> None:
    """Act on expired deadlines. ``now`` is in monotonic seconds."""
    closing = engine.draining and engine.on_idle is None
    for connection in list(engine.connections):
        phase = phase_of(connection)
        wait = connection.wait
        if wait is None:
            wait = connection.wait = Wait()
        serial = connection.requests_seen - len(connection.waiting)
        age = wait.age(
            phase, serial, _moved(connection, phase), now, progress=limits.progress[phase]
        )
        if phase is ConnectionPhase.IDLE and age:
            connection.forget()  # thousands may be idle; caches are made again for the next request
        limit = limits.seconds[phase]
        if closing and phase in (ConnectionPhase.FRESH, ConnectionPhase.IDLE):
            limit = min(limit, LINGER)
        if age and age >= limit:
            expire(connection, phase, age)


def phase_of(connection: Connection) -> ConnectionPhase:
    """Return the phase of ``connection``."""
    current = connection.current
    if connection.unsent or connection.transport.is_closing():
        return ConnectionPhase.WRITE
    if connection.lingering:
        return ConnectionPhase.LINGER
    if current is None:
        state = connection.parser.state
        if state is ParserState.IDLE:
            return ConnectionPhase.IDLE if connection.requests_seen else ConnectionPhase.FRESH
        return ConnectionPhase.HEAD if state is ParserState.HEAD else ConnectionPhase.BODY
    if current.blocked:
        return ConnectionPhase.WRITE
    if not (current.body_complete or current.must_continue or connection.read_paused):
        return ConnectionPhase.BODY
    return ConnectionPhase.APP if current.response is None else ConnectionPhase.STREAM


def _moved(connection: Connection, phase: ConnectionPhase) -> int:
    """Return the bytes of responses that the client has taken, or of a body that it has sent."""
    if phase is ConnectionPhase.WRITE:
        return connection.taken()
    incoming = connection.incoming
    return incoming.received if incoming is not None else 0


def expire(connection: Connection, phase: ConnectionPhase, age: float) -> None:
    """Act on a connection that has waited ``age`` seconds in ``phase``."""
    AT_LIMIT[phase](connection, age)


def _close_idle(connection: Connection, age: float) -> None:
    """Close the connection."""
    connection.close_idle()


def _reject(connection: Connection, age: float) -> None:
    """Respond with 408 and close."""
    connection.reject(ProtocolError(408, "the request took too long to arrive"))


def _time_out(connection: Connection, age: float) -> None:
    """End the exchange, unless it may take longer: 504, and a new worker for a thread,
    cancellation for a task."""
    current = connection.current
    if current is not None and monotonic() >= current.extended_until:
        current.on_timeout(age)


def _abort(connection: Connection, age: float) -> None:
    """Reset the connection."""
    connection.abort()


AT_LIMIT: dict[ConnectionPhase, Callable[[Connection, float], None]] = {
    ConnectionPhase.FRESH: _close_idle,
    ConnectionPhase.IDLE: _close_idle,
    ConnectionPhase.HEAD: _reject,
    ConnectionPhase.BODY: _reject,
    ConnectionPhase.APP: _time_out,
    ConnectionPhase.STREAM: _abort,
    ConnectionPhase.WRITE: _abort,
    ConnectionPhase.LINGER: _abort,
}
