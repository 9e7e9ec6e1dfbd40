"""``round-robin``: the arbiter accepts, and gives each connection to the next worker in turn.

A connection lies on the worker's tray until that takes it; the arbiter keeps a copy until it hears
so, and gives it to the next if the worker dies. What a worker leaves lying while another is free is
taken back and given to that one. The arbiter accepts only while somebody has room, so that what is
too much waits in the kernel; and it never looks at what a client says.

Somebody has room, or everybody has something on his tray, and will be heard of: so nothing is
waited for that does not come.
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
from pyfork.ipc.fd_queue import Tray
from pyfork.ipc.poller import Wires
from pyfork.ipc.scoreboard import Accepting, Line

log = logging.getLogger("pyfork.error")

ROOM = 16  # connections on a tray
PATIENCE = 0.05  # seconds on the tray of a worker that takes nothing; then others may have it
BATCH = 16  # connections accepted in a turn of the loop
REST = 1.0  # seconds without accepting when the system has no more to give

Mark = tuple[int, int, float]
"""What changes on a worker's line when it does something."""

Nap = tuple[Mark, float]
"""How its line was, and when that was seen."""


class Taker(Protocol):
    """A worker, as far as it matters here."""

    @property
    def worker(self) -> int:
        """Its serial."""

    @property
    def slot(self) -> int:
        """By which they take turns."""

    @property
    def channel(self) -> Channel: ...

    @property
    def line(self) -> Line: ...

    @property
    def trays(self) -> dict[str, Tray]:
        """By the key of a handle."""


class Entrusted:
    """A connection on somebody's tray."""

    __slots__ = ("accepted", "client", "member", "since")

    def __init__(self, client: socket.socket, member: Taker, since: float) -> None:
        self.client = client  # the arbiter's copy
        self.member = member
        self.since = since
        self.accepted = member.line.accepted  # by the worker, before


class RoundRobin:
    """Every connection that the arbiter has accepted and no worker has taken.

    Args:
        key: of the workers' trays.
        takers: workers with such a tray that may be given connections, now.
        listeners: where to accept; none under another policy.
        nap: seconds after which a worker that left something lying is tried again, with one
            connection; None for workers whose line tells when they are awake.
    """

    def __init__(
        self,
        wires: Wires,
        *,
        key: str,
        takers: Callable[[], Sequence[Taker]],
        listeners: Callable[[], Iterable[socket.socket]],
        nap: float | None = None,
    ) -> None:
        self._wires = wires
        self._key = key
        self._takers = takers
        self._listeners = listeners
        self._nap = nap
        self._watched: set[socket.socket] = set()
        self._number = time.monotonic_ns()  # none of those that another image of us gave
        self._entrusted: dict[int, Entrusted] = {}
        self._load: Counter[int] = Counter()  # serial of a worker -> connections on its tray
        self._hand: deque[socket.socket] = deque()  # come back, or never given
        self._asleep: dict[int, Nap] = {}  # by serial: who had left something lying
        self._last_slot = -1
        self._rest_until = 0.0

    @property
    def holding(self) -> bool:
        """Whether connections are in the arbiter's hand alone."""
        return bool(self._hand)

    @property
    def deadline(self) -> float | None:
        """When to `act` if nothing happens before."""
        times = [self._rest_until] if self._rest_until else []
        oldest = next(iter(self._entrusted.values()), None)
        return min([*times, *([oldest.since + PATIENCE] if oldest else [])], default=None)

    def disown(self) -> None:
        """Close what a forked child has: a copy kept there would hide the connection's end."""
        for client in [*self._hand, *(each.client for each in self._entrusted.values())]:
            client.close()

    def join(self, member: Taker) -> None:
        """A worker was born, or has lived through an exec; then something may be on its tray."""
        self._wires.watch(self._tray(member), partial(self._heard, member))
        self._retrieve(member)

    def leave(self, member: Taker) -> None:
        """A worker is dead, or accepts no more: what it has not taken is for another."""
        self._hear(member)
        self._retrieve(member)
        self._wires.unwatch(self._tray(member))
        for number in [n for n, each in self._entrusted.items() if each.member is member]:
            self._hand.append(self._entrusted.pop(number).client)
        del self._load[member.worker]
        self._asleep.pop(member.worker, None)

    def act(self, now: float) -> None:
        """Once a turn."""
        self._take_back(now)
        self._recall()
        self._give()
        self._rest_until = self._rest_until if now < self._rest_until else 0.0
        room = not self._rest_until and not self._hand and bool(self._in_turn())
        wanted = set(self._listeners()) if room else set()
        for listener in self._watched - wanted:
            self._wires.unwatch(listener)
        for listener in wanted - self._watched:
            self._wires.watch(listener, partial(self._accept, listener))
        self._watched = wanted

    def finish(self) -> None:
        """Accept no more. What is in hand is put on trays, however full they are."""
        for listener in self._watched:
            self._wires.unwatch(listener)
        self._watched = set()
        trays = [self._tray(member) for member in self._takers()]
        while self._hand and trays:
            client = self._hand.popleft()
            if not any(tray.put(0, client) for tray in trays):
                log.error("a connection is lost: no worker has room for it")
            client.close()

    def _accept(self, listener: socket.socket, mask: int) -> None:
        for _ in range(BATCH):
            if self._hand or not self._in_turn():
                return
            try:
                client, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("cannot accept: %s; trying again in %.0f s", error, REST)
                self._rest_until = time.monotonic() + REST
                return
            self._hand.append(client)
            self._give()

    def _heard(self, member: Taker, mask: int) -> None:
        self._hear(member)

    def _hear(self, member: Taker) -> None:
        """Forget what the worker has taken."""
        while numbers := self._tray(member).taken():
            for number in numbers:
                entrusted = self._entrusted.pop(abs(number), None)
                if entrusted is None:  # another image of us gave it
                    continue
                self._load[member.worker] -= 1
                if number > 0:
                    entrusted.client.close()
                else:
                    self._hand.append(entrusted.client)

    def _take_back(self, now: float) -> None:
        """What has been lying for long while another worker is free."""
        idle: dict[int, Taker] = {}
        for each in self._entrusted.values():
            if now >= each.since + PATIENCE:
                if each.accepted == each.member.line.accepted:
                    idle[each.member.worker] = each.member
                each.since, each.accepted = now, each.member.line.accepted
        for member in idle.values():
            others = any(self._is_free(each) for each in self._takers() if each is not member)
            if others and self._retrieve(member):
                self._asleep[member.worker] = _mark(member), now

    def _recall(self) -> None:
        """What lies with one that is leaving, where others are not."""
        takers = {member.worker for member in self._takers()}
        if takers and not takers.issuperset(+self._load):
            leaving = {each.member.worker: each.member for each in self._entrusted.values()}
            for member in leaving.values():
                if member.worker not in takers:
                    self._retrieve(member)

    def _retrieve(self, member: Taker) -> bool:
        """Take back what is on a worker's tray; whether there was anything."""
        back = self._tray(member).take_back()
        for number, fd in back:
            entrusted = self._entrusted.pop(number, None)
            if entrusted is not None:
                self._load[member.worker] -= 1
                self._hand.append(entrusted.client)
                if fd is not None:
                    os.close(fd)
            elif fd is not None:  # put there by another image of us
                self._hand.append(socket.socket(fileno=fd))
        return bool(back)

    def _give(self) -> None:
        """Put what is in hand on trays, in turn."""
        now = time.monotonic()
        while self._hand:
            for member in self._in_turn():
                self._number += 1
                if self._tray(member).put(self._number, self._hand[0]):
                    client = self._hand.popleft()
                    self._entrusted[self._number] = Entrusted(client, member, now)
                    self._load[member.worker] += 1
                    self._last_slot = member.slot
                    break
            else:
                return

    def _in_turn(self) -> list[Taker]:
        """Workers with room, the next one first. Where nobody is free, those with nothing yet."""
        takers = self._takers()
        free = [member for member in takers if self._is_free(member)]
        free = free or [member for member in takers if not self._load[member.worker]]
        return sorted(free, key=lambda member: (member.slot <= self._last_slot, member.slot))

    def _is_free(self, member: Taker) -> bool:
        freely = member.line.accepting == Accepting.FREELY
        return freely and self._load[member.worker] < self._room(member)

    def _room(self, member: Taker) -> int:
        """How many connections may lie with it."""
        mark, since = self._asleep.get(member.worker, (None, 0.0))
        if mark != _mark(member):
            return ROOM
        return int(self._nap is not None and time.monotonic() >= since + self._nap)

    def _tray(self, member: Taker) -> Tray:
        return member.trays[self._key]


def _mark(member: Taker) -> Mark:
    line = member.line
    return line.accepted, line.requests, line.deadline
