"""Handoffs under way: which worker offered which connection, and who was asked to take it.

The arbiter passes fds and answers on and looks into neither. A giver always gets one answer to
an offer: Release once somebody serves the connection, Keep if nobody does, also when the taker
dies before it answers.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from pyfork.ipc.channel import Channel
from pyfork.ipc.messages import HandoffDone, HandoffFailed, Message
from pyfork.record import record

Send = Callable[[Channel, Message, Sequence[int]], None]


class HandoffSource(Protocol):
    """Whoever offers connections: a worker, or an arbiter that leaves."""

    @property
    def channel(self) -> Channel: ...


class HandoffTarget(HandoffSource, Protocol):
    """Whoever may be asked to take them: a worker, or an arbiter that follows us."""

    @property
    def generation(self) -> int: ...
    @property
    def is_serving(self) -> bool: ...
    @property
    def is_staying(self) -> bool:
        """Whether it is on duty or will be."""

    @property
    def load(self) -> tuple[int, int]: ...
    def request(self, ticket: int) -> Message: ...


@record
class _Handoff:
    giver: HandoffSource
    connection: int  # the giver's number for it
    taker: HandoffTarget


class HandoffBroker:
    """Every offer that has no answer yet."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._pending: dict[int, _Handoff] = {}  # by ticket
        self._ticket = 0

    def offer(
        self,
        giver: HandoffSource,
        connection: int,
        fds: Sequence[int],
        others: Iterable[HandoffTarget],
    ) -> None:
        """Ask the least busy of ``others`` to take a connection. The caller closes ``fds``."""
        others = [worker for worker in others if worker is not giver]
        takers = [worker for worker in others if worker.is_serving]
        if not takers or not fds:
            hope = any(worker.is_staying for worker in others)
            self._send(giver.channel, HandoffFailed(connection, final=not hope), ())
            return
        newest = max(worker.generation for worker in takers)
        taker = min((each for each in takers if each.generation == newest), key=self._load)
        self._ticket += 1
        try:
            self._send(taker.channel, taker.request(self._ticket), fds)
        except OSError:  # no fd left to hold it meanwhile: that passes
            self._send(giver.channel, HandoffFailed(connection, final=False), ())
        else:
            self._pending[self._ticket] = _Handoff(giver, connection, taker)

    def complete(self, ticket: int, *, taken: bool) -> None:
        """A taker has answered."""
        handoff = self._pending.pop(ticket, None)
        if handoff is not None:
            number = handoff.connection
            answer = HandoffDone(number) if taken else HandoffFailed(number, final=False)
            self._send(handoff.giver.channel, answer, ())

    @property
    def pending(self) -> bool:
        """Whether an answer is missing."""
        return bool(self._pending)

    def drop_worker(self, worker: HandoffSource) -> None:
        """A worker is dead: what it was asked to take stays where it is."""
        for ticket, handoff in list(self._pending.items()):
            if handoff.giver is worker:
                del self._pending[ticket]
            elif handoff.taker is worker:
                self.complete(ticket, taken=False)

    def _load(self, taker: HandoffTarget) -> tuple[int, int]:
        """Its load, with the connections that are on their way."""
        busy, connections = taker.load
        return busy, connections + sum(each.taker is taker for each in self._pending.values())
