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

RETRY_STALLED_SECONDS = (
    1.0  # seconds; only an accept shows that a stalled script is responsive again
)


class RoundRobinByHandle:
    """Round-robin for every handle.

    Args:
        candidates: returns the workers that serve.
    """

    def __init__(
        self, poller: Poller, handles: Handles, candidates: Callable[[], Iterable[Candidate]]
    ) -> None:
        self._poller = poller
        self._handles = handles
        self._candidates = candidates
        self._by_key: dict[str, RoundRobin] = {}
        self._finished = False

    @property
    def has_undelivered(self) -> bool:
        """Whether the arbiter holds connections that no worker has."""
        return any(each.has_undelivered for each in self._by_key.values())

    @property
    def deadline(self) -> float | None:
        """When to call `tick` next, in monotonic seconds; None: no limit."""
        times = [each.deadline for each in self._by_key.values()]
        return min((each for each in times if each is not None), default=None)

    def close_in_child(self) -> None:
        """Close copies in a forked child."""
        for round_robin in self._by_key.values():
            round_robin.close_in_child()

    def add_acceptor(self, worker: Candidate, key: str) -> None:
        """Give a worker that listens its queue and its turn."""
        if key in worker.fd_queues:
            return
        for handle in self._listeners_of(key):  # the script may have changed it
            os.set_blocking(handle.fileno(), False)
        worker.fd_queues[key] = queue = FdQueue.make()
        self._dispatcher(key).add_worker(worker)
        name = FdName(FdKind.QUEUE, key)
        self._poller.send(worker.channel, AddListeners([name]), [queue.theirs.fileno()])

    def add_worker(self, worker: Candidate) -> None:
        """Add a worker that lived through an exec."""
        for key in worker.fd_queues:
            if key.startswith(PREFIX):
                self._dispatcher(key).add_worker(worker)

    def remove_acceptor(self, worker: Candidate, key: str) -> None:
        """Remove a worker that does not listen any more, or is dead."""
        if key in worker.fd_queues:
            self._by_key[key].remove_worker(worker)
            worker.fd_queues.pop(key).close()

    def remove_worker(self, worker: Candidate) -> None:
        """Remove a dead worker."""
        for key in [key for key in worker.fd_queues if key.startswith(PREFIX)]:
            self.remove_acceptor(worker, key)

    def tick(self, now: float) -> None:
        """Run what is due; called once per loop iteration."""
        for round_robin in self._by_key.values():
            round_robin.tick(now)

    def finish(self) -> None:
        """Stop accepting: the workers accept on the handles themselves."""
        self._finished = True
        for key, round_robin in self._by_key.items():
            for handle in self._listeners_of(key):
                for worker in self._with_fd_queue(key):
                    self._poller.send(
                        worker.channel,
                        AddListeners([FdName(FdKind.HANDLE, key)]),
                        [handle.fileno()],
                    )
            round_robin.finish()

    def _dispatcher(self, key: str) -> RoundRobin:
        if key not in self._by_key:
            self._by_key[key] = RoundRobin(
                self._poller,
                key=key,
                candidates=partial(self._with_fd_queue, key),
                listeners=lambda: [] if self._finished else self._listeners_of(key),
                retry_stalled_after=RETRY_STALLED_SECONDS,
            )
        return self._by_key[key]

    def _with_fd_queue(self, key: str) -> list[Candidate]:
        return [each for each in self._candidates() if key in each.fd_queues]

    def _listeners_of(self, key: str) -> list[socket.socket]:
        found = self._handles.get(key)
        return [found] if found else []
