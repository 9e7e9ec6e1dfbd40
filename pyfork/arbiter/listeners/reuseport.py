"""``reuseport``: a queue for each slot, which the arbiter owns and the slot's worker minds.

A queue outlives its worker: it is minded by whoever follows in the slot, and until then, or for
good if there is no such slot any more, by another that serves. So nothing that the kernel has put
there is ever reset.

Every turn compares who minds what with who should, and tells the difference. That is done for the
listeners of --bind, and for each handle of a script among those of its workers that listen there.
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
    """Who minds which queue.

    Args:
        takers: workers that serve.
    """

    def __init__(
        self, poller: Poller, listeners: ListenerTable, takers: Callable[[], list[WorkerProcess]]
    ) -> None:
        self._poller = poller
        self._listeners = listeners
        self._takers = takers
        self._minded: dict[int, set[FdName]] = {}  # by serial: the names of what it was given
        # By key, `BIND_KEY` or a handle's: generation and slots, when that was done.
        self._spread: dict[str, tuple[int, int]] = {}

    def tick(self, generation: int, *, slots: int, backlog: int) -> None:
        """Once a turn."""
        takers = [each for each in self._takers() if each.listens_to]
        self._minded = {each.serial: self._minded.get(each.serial, set()) for each in takers}
        shares: dict[int, set[FdName]] = {each.serial: set() for each in takers}
        for key in {key for each in takers for key in each.listens_to}:
            minders = [each for each in takers if key in each.listens_to]
            if self._spread.get(key) != (generation, slots):
                self._spread[key] = generation, slots
                self._make(key, generation, slots, backlog)
            for queues in self._queues(key, generation):
                _assign(queues, minders, shares)
        for worker in takers:
            self._tell(worker, shares[worker.serial])

    def remove_worker(self, worker: WorkerProcess) -> None:
        """A worker is dead."""
        self._minded.pop(worker.serial, None)

    def _make(self, key: str, generation: int, slots: int, backlog: int) -> None:
        try:
            if key == BIND_KEY:
                self._listeners.add_reuseport_sockets(generation, slots, backlog)
            else:
                self._listeners.handles.spread(key, slots)
        except OSError as error:
            log.warning("not every worker can have a queue of its own: %s", error)

    def _queues(self, key: str, generation: int) -> list[list[FdName]]:
        """The names of the queues, address by address."""
        if key == BIND_KEY:
            return self._listeners.queues(generation)
        return [self._listeners.handles.queues(key)]

    def _tell(self, worker: WorkerProcess, names: set[FdName]) -> None:
        minded = self._minded[worker.serial]
        more, less = sorted(names - minded), sorted(minded - names)
        if more:
            sockets = self._listeners.all_sockets()
            self._poller.send(
                worker.channel, AddListeners(more), [sockets[name].fileno() for name in more]
            )
        if less:
            self._poller.send(worker.channel, RemoveListeners(less))
        self._minded[worker.serial] = names


def _assign(
    queues: list[FdName], minders: list[WorkerProcess], shares: dict[int, set[FdName]]
) -> None:
    """Add to what each should mind: its slot's queue, and some that are nobody's."""
    by_slot = {each.slot: each for each in sorted(minders, key=lambda each: each.serial)}
    workers = [by_slot[slot] for slot in sorted(by_slot)]
    for slot, name in enumerate(queues):
        shares[by_slot.get(slot, workers[slot % len(workers)]).serial].add(name)
    for worker in workers:  # more workers than queues
        if worker.slot >= len(queues):
            shares[worker.serial].add(queues[worker.slot % len(queues)])
