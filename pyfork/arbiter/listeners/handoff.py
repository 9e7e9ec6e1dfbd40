"""Handoffs under way: the worker that offered each connection, and the one that may take it.

The arbiter forwards fds and answers. The source of an offer always gets one answer: HandoffDone if
a target serves the connection, HandoffFailed if none does, also when the target dies first.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from pyfork.ipc.channel import Channel
from pyfork.ipc.messages import HandoffDone, HandoffFailed, Message
from pyfork.record import record

Send = Callable[[Channel, Message, Sequence[int]], None]


class HandoffSource(Protocol):
    """A process that offers connections: a worker, or the old arbiter."""

    @property
    def channel(self) -> Channel: ...


class HandoffTarget(HandoffSource, Protocol):
    """A process that may take connections: a worker, or the new arbiter."""

    @property
    def generation(self) -> int: ...
    @property
    def is_serving(self) -> bool: ...
    @property
    def is_staying(self) -> bool:
        """Whether it serves or boots."""

    @property
    def load(self) -> tuple[int, int]: ...
    def request(self, ticket: int) -> Message: ...


@record
class _Handoff:
    source: HandoffSource
    connection: int  # the source's number for it
    target: HandoffTarget


class HandoffBroker:
    """All offers without an answer yet."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._pending: dict[int, _Handoff] = {}  # by ticket
        self._ticket = 0

    def offer(
        self,
        source: HandoffSource,
        connection: int,
        fds: Sequence[int],
        others: Iterable[HandoffTarget],
    ) -> None:
        """Ask the least busy of ``others`` to take a connection. The caller closes ``fds``."""
        others = [worker for worker in others if worker is not source]
        targets = [worker for worker in others if worker.is_serving]
        if not targets or not fds:
            later = any(worker.is_staying for worker in others)
            self._send(source.channel, HandoffFailed(connection, final=not later), ())
            return
        newest = max(worker.generation for worker in targets)
        newest_targets = [target for target in targets if target.generation == newest]
        target = min(newest_targets, key=self._load)
        self._ticket += 1
        try:
            self._send(target.channel, target.request(self._ticket), fds)
        except OSError:  # no descriptor is left to queue it: this passes
            self._send(source.channel, HandoffFailed(connection, final=False), ())
        else:
            self._pending[self._ticket] = _Handoff(source, connection, target)

    def complete(self, ticket: int, *, taken: bool) -> None:
        """A target has answered."""
        handoff = self._pending.pop(ticket, None)
        if handoff is not None:
            number = handoff.connection
            answer = HandoffDone(number) if taken else HandoffFailed(number, final=False)
            self._send(handoff.source.channel, answer, ())

    @property
    def pending(self) -> bool:
        """Whether an answer is outstanding."""
        return bool(self._pending)

    def drop_worker(self, worker: HandoffSource) -> None:
        """A process is gone: connections that were offered to it stay with their sources."""
        for ticket, handoff in list(self._pending.items()):
            if handoff.source is worker:
                del self._pending[ticket]
            elif handoff.target is worker:
                self.complete(ticket, taken=False)

    def _load(self, target: HandoffTarget) -> tuple[int, int]:
        """The load of a target, with the connections that it was offered."""
        busy, connections = target.load
        return busy, connections + sum(
            handoff.target is target for handoff in self._pending.values()
        )
