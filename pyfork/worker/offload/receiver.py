"""The receiver: takes connections out of the connection queue while this worker is free.

A worker is free when its loop checks the queue. The worker that handed a connection off may take
it back, so no request is served later than without the queue.
"""

import asyncio
import logging
import os
from collections.abc import Callable

from pyfork.dispatch.least import DEFER_SECONDS, LeastConnections
from pyfork.ipc.connection_queue import ConnectionQueue, Given
from pyfork.ipc.scoreboard import (
    ACCEPTED,
    ACCEPTING,
    BEGUN,
    HELD,
    PID,
    RECEIVING,
    REQUESTS,
    Accepting,
    Receiving,
    Row,
    Scoreboard,
)

log = logging.getLogger("pyfork.error")

_FRESH = 0.001  # seconds for which it counts that another worker was free
_BATCH = 16  # connections taken in one turn, at most
_REST = 0.05  # seconds until a worker that cannot take a connection checks again


class QueueReceiver:
    """The receiver of one worker."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        queue: ConnectionQueue,
        *,
        scoreboard: Scoreboard,
        row: Row,
        tls: bool,
        begin: Callable[[Given], None],
        is_full: Callable[[], bool],
        gate: LeastConnections | None,
    ) -> None:
        """``begin`` serves a connection, and owns its descriptor then.

        ``gate``: workers with fewer connections take first.
        """
        self._loop = loop
        self._queue = queue
        self._scoreboard = scoreboard
        self._cells = row.cells
        self._kind = Receiving.TLS if tls else Receiving.PLAIN
        self._begin = begin
        self._is_full = is_full
        self._gate = gate
        self._stopped = False
        self._watching = False
        self._ended: list[int] = []  # requests that each worker had answered, at the last check
        self._answered = 0  # requests of this worker, at the last look
        self._paused = False  # a request would have to wait here
        self._free, self._looked = False, 0.0  # another worker was free, and when that was seen

    def start(self) -> None:
        """Take connections from now on."""
        self._cells[RECEIVING] = self._kind
        self._watch()

    def stop(self) -> None:
        """Stop; take what is in the queue if no other worker would."""
        self._stopped = True
        self._cells[RECEIVING] = Receiving.NOTHING
        self._unwatch()
        self.settle()

    def settle(self) -> None:
        """After this worker handed connections off: take them back if no other worker would.

        While others do, a worker that drains leaves the queue to them: each of its requests would
        bring it all connections that they have handed off meanwhile.
        """
        if self._stopped and not self.has_others():
            while self._take():
                pass

    def pause(self) -> None:
        """Take nothing: a request would have to wait here."""
        self._paused = True
        self._unwatch()

    def resume(self) -> None:
        """Take connections again."""
        self._paused = False
        if self._cells[RECEIVING]:
            self._watch()

    def others_free(self) -> bool:
        """Whether another worker would serve at once what this one gives."""
        now = self._loop.time()
        if now - self._looked > _FRESH:
            self._looked = now
            columns = map(self._scoreboard.column, (RECEIVING, ACCEPTING, HELD, PID))
            own = self._cells[PID]
            self._free = any(
                kind == self._kind and state == Accepting.FREELY and not held and pid != own
                for kind, state, held, pid in zip(*columns, strict=True)
            )
        return self._free

    def others_idle(self) -> bool:
        """Return whether another worker that takes connections has no request, and has answered
        none since the last call: else it is between two of them. Only the helper thread calls."""
        columns = map(self._scoreboard.column, (RECEIVING, ACCEPTING, HELD, BEGUN, PID))
        own = self._cells[PID]
        ended, before = self._scoreboard.column(REQUESTS), self._ended
        self._ended = ended
        rows = zip(*columns, ended, before, strict=False)
        return any(
            kind == self._kind
            and state == Accepting.FREELY
            and not held
            and begun <= now == then
            and pid != own
            for kind, state, held, begun, pid, now, then in rows
        )

    def has_others(self) -> bool:
        """Whether another worker takes connections of this one. Called in any thread."""
        count = self._scoreboard.column(RECEIVING).count(self._kind)
        return count > (self._cells[RECEIVING] == self._kind)

    def _watch(self) -> None:
        if not (self._watching or self._stopped or self._paused):
            self._watching = True
            self._loop.add_reader(self._queue.fileno(), self._readable)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._queue.fileno())

    def _readable(self) -> None:
        """Take one in a turn of the loop; where nobody is free, as many as requests ran in it.

        Else those in the queue would wait for longer than connections that never left a worker.
        """
        answered = self._cells[REQUESTS]
        ran, self._answered = answered - self._answered, answered
        share = 1 if ran < 2 or self.others_free() else min(ran, _BATCH)
        for _ in range(share):
            if self._is_full():
                self._leave(_REST)
                return
            if share == 1 and self._gate is not None and self._gate.should_defer(lasting=True):
                self._leave(DEFER_SECONDS)
                return
            if not self._take():
                return

    def _leave(self, seconds: float) -> None:
        """Leave the queue to others for ``seconds``."""
        if self._watching:
            self._unwatch()
            self._loop.call_later(seconds, self._look_again, self._loop.time() + seconds)

    def _look_again(self, due: float) -> None:
        if self._gate is not None:
            self._gate.deferred(self._loop.time() - due)
        self._watch()

    def _take(self) -> bool:
        """Take one connection. Returns whether there was one that this worker can serve."""
        try:
            given = self._queue.take()
        except OSError as error:  # out of descriptors: others have some
            log.debug("cannot take a connection: %s", error)
            self._leave(_REST)
            return False
        if given is None:
            return False
        if given.tls != (self._kind is Receiving.TLS):  # from before or after a reload
            self._return(given)
            self._leave(_REST)
            return False
        self._cells[ACCEPTED] += 1
        self._begin(given)
        return True

    def _return(self, given: Given) -> None:
        if not self._queue.put(given.fd, kept=given.kept, tls=given.tls, data=given.data):
            log.warning("closed a connection that no worker could serve on")
        os.close(given.fd)
