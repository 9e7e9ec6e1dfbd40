"""``reuseport``: one socket for each slot. The arbiter owns it, the slot's worker accepts on it.

A reuseport socket outlives its worker. The replacement in the same slot accepts on it; until it is
ready, or if the slot no longer exists, another worker does. So no queued connection is ever reset.

Each tick compares the present assignment with the desired one, and sends the difference. It does so
for the listeners of --bind, and for each handle of a script.
"""

import logging
from collections.abc import Callable

from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.workers.process import BIND_KEY, WorkerProcess
from pyfork.ipc.fd_name import FdName
from pyfork.ipc.messages import AddListeners, RemoveListeners
from pyfork.ipc.poller import Poller

log = logging.getLogger("pyfork.error")


class ReuseportAssigner:
    """Assigns sockets to workers.

    Args:
        candidates: returns the workers that serve.
    """

    def __init__(
        self,
        poller: Poller,
        listeners: ListenerTable,
        candidates: Callable[[], list[WorkerProcess]],
    ) -> None:
        self._poller = poller
        self._listeners = listeners
        self._candidates = candidates
        self._assigned: dict[int, set[FdName]] = {}  # by serial
        # Generation and slots for which sockets were bound, by `BIND_KEY` or the key of a handle.
        self._bound: dict[str, tuple[int, int]] = {}

    def tick(self, generation: int, *, slots: int, backlog: int) -> None:
        """Bind missing sockets, and assign all."""
        workers = [worker for worker in self._candidates() if worker.listens_to]
        self._assigned = {w.serial: self._assigned.get(w.serial, set()) for w in workers}
        shares: dict[int, set[FdName]] = {worker.serial: set() for worker in workers}
        for key in {key for worker in workers for key in worker.listens_to}:
            acceptors = [worker for worker in workers if key in worker.listens_to]
            if self._bound.get(key) != (generation, slots):
                self._bound[key] = generation, slots
                self._bind(key, generation, slots, backlog)
            for sockets in self._sockets(key, generation):
                _assign(sockets, acceptors, shares)
        for worker in workers:
            self._send_changes(worker, shares[worker.serial])

    def remove_worker(self, worker: WorkerProcess) -> None:
        """A worker has exited."""
        self._assigned.pop(worker.serial, None)

    def _bind(self, key: str, generation: int, slots: int, backlog: int) -> None:
        try:
            if key == BIND_KEY:
                self._listeners.add_reuseport_sockets(generation, slots, backlog)
            else:
                self._listeners.handles.add_reuseport_sockets(key, slots)
        except OSError as error:
            log.warning("some workers share a socket, since no more can be bound: %s", error)

    def _sockets(self, key: str, generation: int) -> list[list[FdName]]:
        """The names of the sockets, address by address."""
        if key == BIND_KEY:
            return self._listeners.queues(generation)
        return [self._listeners.handles.queues(key)]

    def _send_changes(self, worker: WorkerProcess, names: set[FdName]) -> None:
        assigned = self._assigned[worker.serial]
        more, less = sorted(names - assigned), sorted(assigned - names)
        if more:
            sockets = self._listeners.all_sockets()
            self._poller.send(
                worker.channel, AddListeners(more), [sockets[name].fileno() for name in more]
            )
        if less:
            self._poller.send(worker.channel, RemoveListeners(less))
        self._assigned[worker.serial] = names


def _assign(
    sockets: list[FdName], acceptors: list[WorkerProcess], shares: dict[int, set[FdName]]
) -> None:
    """Add to each worker's share the socket of its slot, and some of slots without a worker."""
    by_slot = {each.slot: each for each in sorted(acceptors, key=lambda each: each.serial)}
    workers = [by_slot[slot] for slot in sorted(by_slot)]
    for slot, name in enumerate(sockets):
        shares[by_slot.get(slot, workers[slot % len(workers)]).serial].add(name)
    for worker in workers:  # more workers than sockets
        if worker.slot >= len(sockets):
            shares[worker.serial].add(sockets[worker.slot % len(sockets)])
