"""``round-robin`` for scripts: a `RoundRobin` for each handle, as Node has one.

A script says where it listens when it does, and gets a fd queue then; under its descriptor there is
one for each of its listeners.
"""

import os
import socket
from collections.abc import Callable, Iterable
from functools import partial

from pyfork.dispatch.handles import PREFIX, Handles
from pyfork.dispatch.round_robin import Candidate, RoundRobin
from pyfork.ipc.fd_name import FdKind, FdName
from pyfork.ipc.fd_queue import FdQueue
from pyfork.ipc.messages import AddListeners
from pyfork.ipc.poller import Poller

NAP = 1.0  # seconds; only an accept shows that a stalled script is responsive again


class RoundRobinByHandle:
    """Round-robin for every handle.

    Args:
        takers: returns the workers that serve.
    """

    def __init__(
        self, wires: Poller, handles: Handles, takers: Callable[[], Iterable[Candidate]]
    ) -> None:
        self._wires = wires
        self._handles = handles
        self._takers = takers
        self._rounds: dict[str, RoundRobin] = {}
        self._finished = False

    @property
    def holding(self) -> bool:
        """Whether the arbiter holds connections that no worker has."""
        return any(each.holding for each in self._rounds.values())

    @property
    def deadline(self) -> float | None:
        """When to call `tick` next, in monotonic seconds; None: no limit."""
        times = [each.deadline for each in self._rounds.values()]
        return min((each for each in times if each is not None), default=None)

    def close_in_child(self) -> None:
        """Close copies in a forked child."""
        for each in self._rounds.values():
            each.close_in_child()

    def add_acceptor(self, member: Candidate, key: str) -> None:
        """Give a worker that listens its queue and its turn."""
        if key in member.fd_queues:
            return
        for handle in self._listeners_of(key):  # the script may have changed it
            os.set_blocking(handle.fileno(), False)
        member.fd_queues[key] = queue = FdQueue.make()
        self._round(key).add_worker(member)
        name = FdName(FdKind.QUEUE, key)
        self._wires.send(member.channel, AddListeners([name]), [queue.theirs.fileno()])

    def add_worker(self, member: Candidate) -> None:
        """Add a worker that lived through an exec."""
        for key in member.fd_queues:
            if key.startswith(PREFIX):
                self._round(key).add_worker(member)

    def remove_acceptor(self, member: Candidate, key: str) -> None:
        """Remove a worker that does not listen any more, or is dead."""
        if key in member.fd_queues:
            self._rounds[key].remove_worker(member)
            member.fd_queues.pop(key).close()

    def remove_worker(self, member: Candidate) -> None:
        """Remove a dead worker."""
        for key in [key for key in member.fd_queues if key.startswith(PREFIX)]:
            self.remove_acceptor(member, key)

    def tick(self, now: float) -> None:
        """Run what is due; called once per loop iteration."""
        for each in self._rounds.values():
            each.tick(now)

    def finish(self) -> None:
        """Stop accepting: the workers accept on the handles themselves."""
        self._finished = True
        for key, each in self._rounds.items():
            for handle in self._listeners_of(key):
                for member in self._with_fd_queue(key):
                    self._wires.send(
                        member.channel,
                        AddListeners([FdName(FdKind.HANDLE, key)]),
                        [handle.fileno()],
                    )
            each.finish()

    def _round(self, key: str) -> RoundRobin:
        if key not in self._rounds:
            self._rounds[key] = RoundRobin(
                self._wires,
                key=key,
                takers=partial(self._with_fd_queue, key),
                listeners=lambda: [] if self._finished else self._listeners_of(key),
                nap=NAP,
            )
        return self._rounds[key]

    def _with_fd_queue(self, key: str) -> list[Candidate]:
        return [each for each in self._takers() if key in each.fd_queues]

    def _listeners_of(self, key: str) -> list[socket.socket]:
        found = self._handles.get(key)
        return [found] if found else []
