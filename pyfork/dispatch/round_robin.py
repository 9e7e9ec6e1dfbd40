"""``round-robin``: the arbiter accepts, and passes each connection to the next worker in turn.

A connection is in the worker's fd queue until the worker takes it. The arbiter keeps a copy until
that is acknowledged, and passes it to another worker if this one dies. If a worker leaves a
connection in its queue while another is free, the arbiter reclaims it for that one. The arbiter
accepts only while a worker has capacity, so the kernel queues the excess. It never reads a
client's data.

Invariant: some worker has capacity, or every worker holds an undelivered connection and will
acknowledge it. The arbiter therefore never waits for an event that cannot happen.
"""

import logging
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from pyfork.ipc.channel import Channel
from pyfork.ipc.fd_queue import FdQueue
from pyfork.ipc.poller import Poller
from pyfork.ipc.scoreboard import Accepting, Row

log = logging.getLogger("pyfork.error")

MAX_QUEUED = 16  # connections in an fd queue
RECLAIM_AFTER = (
    0.05  # seconds on the fd queue of a worker that takes nothing; then others may have it
)
ACCEPT_BATCH = 16  # connections accepted in one loop iteration
ACCEPT_BACKOFF = 1.0  # seconds without accepting when a limit is reached

Progress = tuple[int, int, float]
"""The cells of a worker's row that change when it is responsive."""

StalledAt = tuple[Progress, float]
"""The row of a stalled worker, and when that was seen."""


class Candidate(Protocol):
    """A worker, as far as dispatch needs it."""

    @property
    def serial(self) -> int:
        """Its serial number."""

    @property
    def slot(self) -> int:
        """The order of turns."""

    @property
    def channel(self) -> Channel: ...

    @property
    def row(self) -> Row: ...

    @property
    def fd_queues(self) -> dict[str, FdQueue]:
        """By handle key."""


class InFlightFd:
    """A connection in a worker's fd queue."""

    __slots__ = ("accepted", "client", "since", "worker")

    def __init__(self, client: socket.socket, worker: Candidate, since: float) -> None:
        self.client = client  # the arbiter's copy
        self.worker = worker
        self.since = since
        self.accepted = worker.row.accepted  # accepted by the worker before


class RoundRobin:
    """All connections that the arbiter has accepted and no worker has taken.

    Args:
        key: of the workers' fd queues.
        candidates: returns the workers with such a queue that may get connections now.
        listeners: returns the sockets to accept on; none under another policy.
        retry_stalled_after: seconds after which a stalled worker is tried again with one
            connection; None if its scoreboard row shows when it is responsive.
    """

    def __init__(
        self,
        poller: Poller,
        *,
        key: str,
        candidates: Callable[[], Sequence[Candidate]],
        listeners: Callable[[], Iterable[socket.socket]],
        retry_stalled_after: float | None = None,
    ) -> None:
        self._poller = poller
        self._key = key
        self._candidates = candidates
        self._listeners = listeners
        self._retry_stalled_after = retry_stalled_after
        self._watched: set[socket.socket] = set()
        self._number = time.monotonic_ns()  # differs from the numbers before an exec
        self._in_flight: dict[int, InFlightFd] = {}
        self._load: Counter[int] = Counter()  # serial of a worker -> connections on its fd queue
        self._undelivered: deque[socket.socket] = deque()  # reclaimed, or not passed on yet
        # by serial: workers that left a connection in their queue
        self._stalled: dict[int, StalledAt] = {}
        self._last_slot = -1
        self._backoff_until = 0.0

    @property
    def has_undelivered(self) -> bool:
        """Whether the arbiter holds connections that no worker has."""
        return bool(self._undelivered)

    @property
    def deadline(self) -> float | None:
        """When to call `tick` next, in monotonic seconds; None: no limit."""
        times = [self._backoff_until] if self._backoff_until else []
        oldest = next(iter(self._in_flight.values()), None)
        return min([*times, *([oldest.since + RECLAIM_AFTER] if oldest else [])], default=None)

    def close_in_child(self) -> None:
        """Close copies in a forked child: they would hide the end of a connection."""
        for client in [*self._undelivered, *(each.client for each in self._in_flight.values())]:
            client.close()

    def add_worker(self, worker: Candidate) -> None:
        """A worker was forked, or survived an exec; then its fd queue may hold connections."""
        self._poller.watch(self._queue_of(worker), partial(self._on_message, worker))
        self._reclaim(worker)

    def remove_worker(self, worker: Candidate) -> None:
        """Remove a worker that is dead or stops accepting; reclaim its connections."""
        self._on_readable(worker)
        self._reclaim(worker)
        self._poller.unwatch(self._queue_of(worker))
        for number in [n for n, each in self._in_flight.items() if each.worker is worker]:
            self._undelivered.append(self._in_flight.pop(number).client)
        del self._load[worker.serial]
        self._stalled.pop(worker.serial, None)

    def tick(self, now: float) -> None:
        """Reclaim, pass on, and watch the listeners if there is capacity."""
        self._reclaim_stale(now)
        self._reclaim_from_leaving()
        self._pass_on()
        self._backoff_until = self._backoff_until if now < self._backoff_until else 0.0
        room = not self._backoff_until and not self._undelivered and bool(self._in_turn())
        wanted = set(self._listeners()) if room else set()
        for listener in self._watched - wanted:
            self._poller.unwatch(listener)
        for listener in wanted - self._watched:
            self._poller.watch(listener, partial(self._accept, listener))
        self._watched = wanted

    def finish(self) -> None:
        """Accept no more. Accepted connections go to the fd queues, however full they are."""
        for listener in self._watched:
            self._poller.unwatch(listener)
        self._watched = set()
        queues = [self._queue_of(worker) for worker in self._candidates()]
        while self._undelivered and queues:
            client = self._undelivered.popleft()
            if not any(queue.put(0, client) for queue in queues):
                log.error("a connection is lost: no worker has room for it")
            client.close()

    def _accept(self, listener: socket.socket, mask: int) -> None:
        for _ in range(ACCEPT_BATCH):
            if self._undelivered or not self._in_turn():
                return
            try:
                client, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("cannot accept: %s; trying again in %.0f s", error, ACCEPT_BACKOFF)
                self._backoff_until = time.monotonic() + ACCEPT_BACKOFF
                return
            self._undelivered.append(client)
            self._pass_on()

    def _on_message(self, worker: Candidate, mask: int) -> None:
        self._on_readable(worker)

    def _on_readable(self, worker: Candidate) -> None:
        """Drop connections that the worker has acknowledged."""
        while numbers := self._queue_of(worker).taken():
            for number in numbers:
                in_flight = self._in_flight.pop(abs(number), None)
                if in_flight is None:  # passed on before an exec
                    continue
                self._load[worker.serial] -= 1
                if number > 0:
                    in_flight.client.close()
                    # It accepts. A child of a script's worker is not counted in its row.
                    self._stalled.pop(worker.serial, None)
                else:
                    self._undelivered.append(in_flight.client)

    def _reclaim_stale(self, now: float) -> None:
        """Reclaim connections that wait too long while another worker is free."""
        idle: dict[int, Candidate] = {}
        for in_flight in self._in_flight.values():
            if now >= in_flight.since + RECLAIM_AFTER:
                if in_flight.accepted == in_flight.worker.row.accepted:
                    idle[in_flight.worker.serial] = in_flight.worker
                in_flight.since, in_flight.accepted = now, in_flight.worker.row.accepted
        for worker in idle.values():
            others = any(self._is_free(each) for each in self._candidates() if each is not worker)
            if others and self._reclaim(worker):
                self._stalled[worker.serial] = _progress_of(worker), now

    def _reclaim_from_leaving(self) -> None:
        """Reclaim connections from draining workers, if others serve."""
        candidates = {worker.serial for worker in self._candidates()}
        if candidates and not candidates.issuperset(+self._load):
            leaving = {each.worker.serial: each.worker for each in self._in_flight.values()}
            for worker in leaving.values():
                if worker.serial not in candidates:
                    self._reclaim(worker)

    def _reclaim(self, worker: Candidate) -> bool:
        """Take back the content of a worker's fd queue. Returns whether there was any."""
        back = self._queue_of(worker).reclaim()
        for number, fd in back:
            in_flight = self._in_flight.pop(number, None)
            if in_flight is not None:
                self._load[worker.serial] -= 1
                self._undelivered.append(in_flight.client)
                if fd is not None:
                    os.close(fd)
            elif fd is not None:  # put there before an exec
                self._undelivered.append(socket.socket(fileno=fd))
        return bool(back)

    def _pass_on(self) -> None:
        """Put undelivered connections into fd queues, in turn."""
        now = time.monotonic()
        while self._undelivered:
            for worker in self._in_turn():
                self._number += 1
                if self._queue_of(worker).put(self._number, self._undelivered[0]):
                    client = self._undelivered.popleft()
                    self._in_flight[self._number] = InFlightFd(client, worker, now)
                    self._load[worker.serial] += 1
                    self._last_slot = worker.slot
                    break
            else:
                return

    def _in_turn(self) -> list[Candidate]:
        """Return workers with capacity in turn; if none is free, those with an empty queue."""
        candidates = self._candidates()
        free = [worker for worker in candidates if self._is_free(worker)]
        free = free or [worker for worker in candidates if not self._load[worker.serial]]
        return sorted(free, key=lambda worker: (worker.slot <= self._last_slot, worker.slot))

    def _is_free(self, worker: Candidate) -> bool:
        freely = worker.row.accepting == Accepting.FREELY
        return freely and self._load[worker.serial] < self._room(worker)

    def _room(self, worker: Candidate) -> int:
        """Return how many connections the worker's queue may hold."""
        progress, since = self._stalled.get(worker.serial, (None, 0.0))
        if progress != _progress_of(worker):
            return MAX_QUEUED
        return int(
            self._retry_stalled_after is not None
            and time.monotonic() >= since + self._retry_stalled_after
        )

    def _queue_of(self, worker: Candidate) -> FdQueue:
        return worker.fd_queues[self._key]


def _progress_of(worker: Candidate) -> Progress:
    row = worker.row
    return row.accepted, row.requests, row.deadline
