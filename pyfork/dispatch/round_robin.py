"""``round-robin``: the arbiter accepts, and gives each connection to the next worker in turn.

A connection stays on the worker's fd queue until the worker takes it. The arbiter keeps a copy
until the worker confirms, and gives it to the next worker if that one dies. What a worker does not
take while another is free is taken back. The arbiter accepts only while some worker has capacity,
so that the rest waits in the kernel; it never reads what a client sends.

Invariant: some worker has capacity, or every worker has an undelivered connection and will confirm
it. So the arbiter never waits for an event that cannot happen.
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

MAX_QUEUED = 16  # connections on a fd queue
PATIENCE = 0.05  # seconds on the fd queue of a worker that takes nothing; then others may have it
BATCH = 16  # connections accepted in one loop iteration
REST = 1.0  # seconds without accepting when a limit is reached

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
    def line(self) -> Row: ...

    @property
    def fd_queues(self) -> dict[str, FdQueue]:
        """By handle key."""


class InFlightFd:
    """A connection in a worker's fd queue."""

    __slots__ = ("accepted", "client", "member", "since")

    def __init__(self, client: socket.socket, member: Candidate, since: float) -> None:
        self.client = client  # the arbiter's copy
        self.member = member
        self.since = since
        self.accepted = member.line.accepted  # accepted by the worker before


class RoundRobin:
    """Every connection that the arbiter has accepted and no worker has taken.

    Args:
        key: of the workers' fd queues.
        takers: workers with such a fd queue that may be given connections, now.
        listeners: where to accept; none under another policy.
        nap: seconds after which a worker that left something lying is tried again, with one
            connection; None for workers whose line tells when they are awake.
    """

    def __init__(
        self,
        wires: Poller,
        *,
        key: str,
        takers: Callable[[], Sequence[Candidate]],
        listeners: Callable[[], Iterable[socket.socket]],
        nap: float | None = None,
    ) -> None:
        self._wires = wires
        self._key = key
        self._takers = takers
        self._listeners = listeners
        self._nap = nap
        self._watched: set[socket.socket] = set()
        self._number = time.monotonic_ns()  # differs from the numbers before an exec
        self._entrusted: dict[int, InFlightFd] = {}
        self._load: Counter[int] = Counter()  # serial of a worker -> connections on its fd queue
        self._undelivered: deque[socket.socket] = deque()  # reclaimed, or not passed on yet
        # by serial: workers that left a connection in their queue
        self._stalled: dict[int, StalledAt] = {}
        self._last_slot = -1
        self._rest_until = 0.0

    @property
    def holding(self) -> bool:
        """Whether the arbiter holds connections that no worker has."""
        return bool(self._undelivered)

    @property
    def deadline(self) -> float | None:
        """When to call `tick` next, in monotonic seconds; None: no limit."""
        times = [self._rest_until] if self._rest_until else []
        oldest = next(iter(self._entrusted.values()), None)
        return min([*times, *([oldest.since + PATIENCE] if oldest else [])], default=None)

    def close_in_child(self) -> None:
        """Close copies in a forked child: they would hide the end of a connection."""
        for client in [*self._undelivered, *(each.client for each in self._entrusted.values())]:
            client.close()

    def add_worker(self, member: Candidate) -> None:
        """A worker was forked, or survived an exec; then its fd queue may hold connections."""
        self._wires.watch(self._queue_of(member), partial(self._on_message, member))
        self._reclaim(member)

    def remove_worker(self, member: Candidate) -> None:
        """Remove a worker that is dead or stops accepting; reclaim its connections."""
        self._on_readable(member)
        self._reclaim(member)
        self._wires.unwatch(self._queue_of(member))
        for number in [n for n, each in self._entrusted.items() if each.member is member]:
            self._undelivered.append(self._entrusted.pop(number).client)
        del self._load[member.serial]
        self._stalled.pop(member.serial, None)

    def tick(self, now: float) -> None:
        """Reclaim, pass on, and watch the listeners if there is capacity."""
        self._reclaim_stale(now)
        self._reclaim_from_leaving()
        self._give()
        self._rest_until = self._rest_until if now < self._rest_until else 0.0
        room = not self._rest_until and not self._undelivered and bool(self._in_turn())
        wanted = set(self._listeners()) if room else set()
        for listener in self._watched - wanted:
            self._wires.unwatch(listener)
        for listener in wanted - self._watched:
            self._wires.watch(listener, partial(self._accept, listener))
        self._watched = wanted

    def finish(self) -> None:
        """Accept no more. What is in hand is put on fd queues, however full they are."""
        for listener in self._watched:
            self._wires.unwatch(listener)
        self._watched = set()
        queues = [self._queue_of(member) for member in self._takers()]
        while self._undelivered and queues:
            client = self._undelivered.popleft()
            if not any(queue.put(0, client) for queue in queues):
                log.error("a connection is lost: no worker has room for it")
            client.close()

    def _accept(self, listener: socket.socket, mask: int) -> None:
        for _ in range(BATCH):
            if self._undelivered or not self._in_turn():
                return
            try:
                client, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("cannot accept: %s; trying again in %.0f s", error, REST)
                self._rest_until = time.monotonic() + REST
                return
            self._undelivered.append(client)
            self._give()

    def _on_message(self, member: Candidate, mask: int) -> None:
        self._on_readable(member)

    def _on_readable(self, member: Candidate) -> None:
        """Drop connections that the worker has acknowledged."""
        while numbers := self._queue_of(member).taken():
            for number in numbers:
                entrusted = self._entrusted.pop(abs(number), None)
                if entrusted is None:  # passed on before an exec
                    continue
                self._load[member.serial] -= 1
                if number > 0:
                    entrusted.client.close()
                else:
                    self._undelivered.append(entrusted.client)

    def _reclaim_stale(self, now: float) -> None:
        """Reclaim connections that wait too long while another worker is free."""
        idle: dict[int, Candidate] = {}
        for each in self._entrusted.values():
            if now >= each.since + PATIENCE:
                if each.accepted == each.member.line.accepted:
                    idle[each.member.serial] = each.member
                each.since, each.accepted = now, each.member.line.accepted
        for member in idle.values():
            others = any(self._is_free(each) for each in self._takers() if each is not member)
            if others and self._reclaim(member):
                self._stalled[member.serial] = _mark(member), now

    def _reclaim_from_leaving(self) -> None:
        """Reclaim connections from draining workers, if others serve."""
        takers = {member.serial for member in self._takers()}
        if takers and not takers.issuperset(+self._load):
            leaving = {each.member.serial: each.member for each in self._entrusted.values()}
            for member in leaving.values():
                if member.serial not in takers:
                    self._reclaim(member)

    def _reclaim(self, member: Candidate) -> bool:
        """Take back the content of a worker's fd queue. Returns whether there was any."""
        back = self._queue_of(member).reclaim()
        for number, fd in back:
            entrusted = self._entrusted.pop(number, None)
            if entrusted is not None:
                self._load[member.serial] -= 1
                self._undelivered.append(entrusted.client)
                if fd is not None:
                    os.close(fd)
            elif fd is not None:  # put there before an exec
                self._undelivered.append(socket.socket(fileno=fd))
        return bool(back)

    def _give(self) -> None:
        """Put undelivered connections into fd queues, in turn."""
        now = time.monotonic()
        while self._undelivered:
            for member in self._in_turn():
                self._number += 1
                if self._queue_of(member).put(self._number, self._undelivered[0]):
                    client = self._undelivered.popleft()
                    self._entrusted[self._number] = InFlightFd(client, member, now)
                    self._load[member.serial] += 1
                    self._last_slot = member.slot
                    break
            else:
                return

    def _in_turn(self) -> list[Candidate]:
        """Return workers with capacity in turn; if none is free, those with an empty queue."""
        takers = self._takers()
        free = [member for member in takers if self._is_free(member)]
        free = free or [member for member in takers if not self._load[member.serial]]
        return sorted(free, key=lambda member: (member.slot <= self._last_slot, member.slot))

    def _is_free(self, member: Candidate) -> bool:
        freely = member.line.accepting == Accepting.FREELY
        return freely and self._load[member.serial] < self._room(member)

    def _room(self, member: Candidate) -> int:
        """Return how many connections the worker's queue may hold."""
        mark, since = self._stalled.get(member.serial, (None, 0.0))
        if mark != _mark(member):
            return MAX_QUEUED
        return int(self._nap is not None and time.monotonic() >= since + self._nap)

    def _queue_of(self, member: Candidate) -> FdQueue:
        return member.fd_queues[self._key]


def _mark(member: Candidate) -> Progress:
    line = member.line
    return line.accepted, line.requests, line.deadline
