"""Evening: a worker with more connections than others hands idle ones off, a few at a time.

They go through the connection queue; workers with the fewest connections take first. A connection
moves at most once a second, and never with a request.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice

from pyfork.dispatch.evening import surplus
from pyfork.http.connection.connection import Connection
from pyfork.ipc.connection_queue import ConnectionQueue
from pyfork.ipc.scoreboard import (
    ACCEPTING,
    CONNECTIONS,
    GENERATION,
    HELD,
    PID,
    RECEIVING,
    Accepting,
    Receiving,
    Row,
    Scoreboard,
)

# Seconds between two checks: while shares differ, while they do not, and without other workers.
_UNEVEN, _EVEN, _ALONE = 0.05, 0.25, 5.0
_FEW = 4  # connections at a time
_AGE = 1.0  # seconds between two moves of a connection, at least


class Evening:
    """The evening of one worker."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        queue: ConnectionQueue,
        *,
        scoreboard: Scoreboard,
        row: Row,
        connections: Iterable[Connection],
    ) -> None:
        self._loop = loop
        self._queue = queue
        self._scoreboard = scoreboard
        self._row = row
        self._connections = connections
        # from other workers, with the monotonic time of arrival
        self._arrived: dict[object, float] = {}
        self._stopped = False

    def start(self) -> None:
        """Begin."""
        self._loop.call_later(_EVEN, self._look)

    def stop(self) -> None:
        """Stop handing connections off."""
        self._stopped = True

    def arrived(self, connection: object) -> None:
        """Note that a connection came from another worker."""
        self._arrived[connection] = self._loop.time()

    def _look(self) -> None:
        if self._stopped:
            return
        count = self._surplus()
        if self._arrived:
            since = self._loop.time() - _AGE
            self._arrived = {each: at for each, at in self._arrived.items() if at > since}
        for connection in islice(self._movable(), min(count, _FEW)):
            if not self._queue.put(connection.fileno(), kept=connection.kept, tls=False):
                break
            connection.finish_handoff()
        if self._scoreboard.rows_used == 1:
            self._loop.call_later(_ALONE, self._look)
        else:
            self._loop.call_later(_UNEVEN if count else _EVEN, self._look)

    def _surplus(self) -> int:
        """Return how many connections other workers should have."""
        if self._row.connections < 2:
            return 0
        column = self._scoreboard.column
        rows = zip(
            *map(column, (PID, CONNECTIONS, RECEIVING, ACCEPTING, HELD, GENERATION)), strict=True
        )
        generation = self._row.generation
        counts = {
            pid: connections
            for pid, connections, receiving, accepting, held, theirs in rows
            if receiving == Receiving.PLAIN
            and accepting == Accepting.FREELY
            and not held
            and theirs == generation
        }
        pids = list(counts)
        own = self._row.pid
        return surplus(pids.index(own), list(counts.values())) if own in counts else 0

    def _movable(self) -> Iterator[Connection]:
        """Return idle connections whose next request has not arrived."""
        for connection in list(self._connections):
            if (
                connection not in self._arrived
                and connection.can_hand_off
                and not connection.readable()
            ):
                yield connection
