"""The sweep: every deadline of every connection, looked at once a second.

No timer is set on the path of a request: a deadline is kept to a second.
"""

from pyfork.errors import ProtocolError
from pyfork.http.connection.connection import Connection
from pyfork.http.connection.deadlines import LINGER, Limits, Wait
from pyfork.http.connection.engine import Engine
from pyfork.http.connection.phase import Phase
from pyfork.http.request.parsing import ParserState


def sweep(engine: Engine, limits: Limits, now: float) -> None:
    """Expire what is late. ``now`` is monotonic seconds."""
    closing = engine.draining and engine.part is None
    for connection in list(engine.connections):
        phase = phase_of(connection)
        wait = connection.wait
        if wait is None:
            wait = connection.wait = Wait()
        serial = connection.serial - len(connection.waiting)
        age = wait.age(
            phase, serial, _moved(connection, phase), now, progress=limits.progress[phase]
        )
        if phase is Phase.IDLE and age:
            connection.forget()  # thousands may idle; who comes back is read anew
        limit = limits.seconds[phase]
        if closing and phase in (Phase.FRESH, Phase.IDLE):
            limit = min(limit, LINGER)
        if age and age >= limit:
            expire(connection, phase, age)


def phase_of(connection: Connection) -> Phase:
    """What a connection waits for."""
    current = connection.current
    if connection.unsent or connection.transport.is_closing():
        return Phase.WRITE
    if connection.lingering:
        return Phase.LINGER
    if current is None:
        state = connection.parser.state
        if state is ParserState.BETWEEN:
            return Phase.IDLE if connection.serial else Phase.FRESH
        return Phase.HEAD if state is ParserState.HEAD else Phase.BODY
    if current.blocked:
        return Phase.WRITE
    if not (current.arrived or current.must_continue or connection.read_paused):
        return Phase.BODY
    return Phase.APP if current.response is None else Phase.STREAM


def _moved(connection: Connection, phase: Phase) -> int:
    """Bytes that the client has taken of its responses, or has sent of a body."""
    if phase is Phase.WRITE:
        return connection.taken()
    incoming = connection.incoming
    return incoming.received if incoming is not None else 0


def expire(connection: Connection, phase: Phase, age: float) -> None:
    """End what ``connection`` has waited for ``age`` seconds."""
    if phase in (Phase.HEAD, Phase.BODY):
        connection.refuse(ProtocolError(408, "the request took too long to arrive"))
    elif phase is Phase.APP:
        if connection.current is not None:
            connection.current.overdue(age)
    elif phase in (Phase.FRESH, Phase.IDLE):
        connection.close_idle()
    else:
        connection.abort()
