"""``least``: a worker leaves the next connection of a shared listener to others.

Under ``least`` a worker defers to workers with fewer connections. Under every policy a saturated
worker defers to workers that could serve the connection at once.

A worker that defers checks again a moment later. A worker that was deferred to several times and
accepted nothing is treated as unresponsive; no worker defers to it until it accepts. A responsive
worker accepts as soon as there is a connection, since all are woken for each. No worker defers to
one whose loop is held by a request (`HELD`). On a machine without a free core a worker defers once
only; `worker.offload.evening` corrects the balance later.

Short connections do not unbalance workers for long, and waiting to balance them only adds latency.
A worker may therefore exceed the minimum by the number of connections it closed just now.

Rules: reads the scoreboard and the clock, and decides; no timer, no socket.
"""

import time
from collections.abc import Callable

from pyfork.ipc.scoreboard import (
    ACCEPTED,
    ACCEPTING,
    BEGUN,
    CONNECTIONS,
    HELD,
    REQUESTS,
    Accepting,
    Row,
    Scoreboard,
)

DEFER_SECONDS = 0.001  # time enough for a free worker on a machine with a free core
MAX_DEFERRALS = 4  # on a busy machine a free worker may need that long for its turn
JUST_NOW = 0.01  # seconds
LATE = 0.004  # seconds; after a longer delay the machine has no free core
CROWDED = 0.05  # seconds for which one deferral is enough then
CROWDED_DEFERRALS = 1


class LeastConnections:
    """One worker's view of the others."""

    def __init__(
        self,
        scoreboard: Scoreboard,
        row: Row,
        clock: Callable[[], float] = time.monotonic,
        *,
        fewest: bool = True,
    ) -> None:
        """``clock`` returns monotonic seconds. ``fewest``: connections are compared, as under
        ``least``."""
        self._scoreboard = scoreboard
        self._fewest = fewest
        self._clock = clock
        self._own = row.cells
        # By row: its accepted connections at the first deferral, and the number of deferrals
        # since.
        self._given: dict[int, tuple[int, int]] = {}
        # Of this worker's connections: how many had ended at a time, and in JUST_NOW before it.
        self._ended = 0
        self._looked = 0.0
        self._coming_and_going = 0
        self._crowded_until = 0.0

    def deferred(self, late: float) -> None:
        """A moment of giving way is over, ``late`` seconds after its time.

        On a machine without a free core, the other worker cannot run.
        """
        if late > LATE:
            self._crowded_until = self._clock() + CROWDED

    def should_defer(
        self, *, saturated: bool = False, more: int = 0, lasting: bool = False
    ) -> bool:
        """Whether to leave a connection that is there to others, for a moment.

        ``saturated``: its request would have to wait in this worker. ``more``: how many
        connections more than others this worker may have. ``lasting``: the connection will not
        go as quickly as others went just now.
        """
        own = self._own[CONNECTIONS]
        board = self._scoreboard
        if board.rows_used == 1 or not (saturated or (own and self._fewest)):
            return False
        ended = 0 if lasting else self._recently_closed(self._own[ACCEPTED] - own)
        burden = own - ended - more
        counts = board.column(CONNECTIONS)
        if burden <= min(counts) and not saturated:
            return False
        if self._crowded_until and self._clock() >= self._crowded_until:
            self._crowded_until = 0.0
        patience = CROWDED_DEFERRALS if self._crowded_until else MAX_DEFERRALS
        accepting, accepted = board.column(ACCEPTING), board.column(ACCEPTED)
        held = board.column(HELD)
        waits = False
        for index, connections in enumerate(counts):
            if held[index]:  # by a request, for an unknown time
                continue
            fewer = self._fewest and connections < burden
            if accepting[index] == Accepting.FREELY:
                better = saturated or fewer
            else:
                better = saturated and fewer and accepting[index] == Accepting.ON_CREDIT
            if better:
                before, times = self._given.get(index, (-1, 0))
                if before != accepted[index]:
                    times = 0
                if times < patience:
                    self._given[index] = accepted[index], times + 1
                    waits = True
        return waits

    def others_are_free(self) -> bool:
        """Whether another worker accepts freely and has no request in its application."""
        board = self._scoreboard
        lines = zip(*map(board.column, (ACCEPTING, BEGUN, REQUESTS)), strict=True)
        free: int = sum(
            state == Accepting.FREELY and begun <= ended for state, begun, ended in lines
        )
        own = self._own
        own_free = own[ACCEPTING] == Accepting.FREELY and own[BEGUN] <= own[REQUESTS]
        return free > own_free

    def _recently_closed(self, ended: int) -> int:
        """How many connections ended just now, of ``ended`` in all."""
        now = self._clock()
        ago = now - self._looked
        if ago >= JUST_NOW:
            self._coming_and_going = ended - self._ended if ago < 2 * JUST_NOW else 0
            self._ended, self._looked = ended, now
        return self._coming_and_going
