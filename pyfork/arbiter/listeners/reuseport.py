"""``reuseport``: a queue for each slot, which the arbiter owns and the slot's worker minds.

A queue outlives its worker: it is minded by whoever follows in the slot, and until then, or for
good if there is no such slot any more, by another that serves. So nothing that the kernel has put
there is ever reset.

Every turn compares who minds what with who should, and tells the difference. That is done for the
listeners of --bind, and for each handle of a script among those of its workers that listen there.
"""

import logging
from collections.abc import Callable

from pyfork.arbiter.listeners.table import Ports
from pyfork.arbiter.workers.process import BOUND, Member
from pyfork.ipc.messages import Mind, Unmind
from pyfork.ipc.poller import Wires

log = logging.getLogger("pyfork.error")


class Queues:
    """Who minds which queue.

    Args:
        takers: workers that serve.
    """

    def __init__(self, wires: Wires, ports: Ports, takers: Callable[[], list[Member]]) -> None:
        self._wires = wires
        self._ports = ports
        self._takers = takers
        self._minded: dict[int, set[str]] = {}  # by serial: the names of what it was given
        # By key, `BOUND` or a handle's: generation and slots, when that was done.
        self._spread: dict[str, tuple[int, int]] = {}

    def act(self, generation: int, *, slots: int, backlog: int) -> None:
        """Once a turn."""
        takers = [each for each in self._takers() if each.minds]
        self._minded = {each.worker: self._minded.get(each.worker, set()) for each in takers}
        shares: dict[int, set[str]] = {each.worker: set() for each in takers}
        for key in {key for each in takers for key in each.minds}:
            minders = [each for each in takers if key in each.minds]
            if self._spread.get(key) != (generation, slots):
                self._spread[key] = generation, slots
                self._make(key, generation, slots, backlog)
            for queues in self._queues(key, generation):
                _share(queues, minders, shares)
        for member in takers:
            self._tell(member, shares[member.worker])

    def leave(self, member: Member) -> None:
        """A worker is dead."""
        self._minded.pop(member.worker, None)

    def _make(self, key: str, generation: int, slots: int, backlog: int) -> None:
        try:
            if key == BOUND:
                self._ports.spread(generation, slots, backlog)
            else:
                self._ports.handles.spread(key, slots)
        except OSError as error:
            log.warning("not every worker can have a queue of its own: %s", error)

    def _queues(self, key: str, generation: int) -> list[list[str]]:
        """The names of the queues, address by address."""
        if key == BOUND:
            return self._ports.queues(generation)
        return [self._ports.handles.queues(key)]

    def _tell(self, member: Member, names: set[str]) -> None:
        minded = self._minded[member.worker]
        more, less = sorted(names - minded), sorted(minded - names)
        if more:
            sockets = self._ports.all()
            self._wires.send(member.channel, Mind(more), [sockets[name].fileno() for name in more])
        if less:
            self._wires.send(member.channel, Unmind(less))
        self._minded[member.worker] = names


def _share(queues: list[str], minders: list[Member], shares: dict[int, set[str]]) -> None:
    """Add to what each should mind: its slot's queue, and some that are nobody's."""
    by_slot = {each.slot: each for each in sorted(minders, key=lambda each: each.worker)}
    members = [by_slot[slot] for slot in sorted(by_slot)]
    for slot, name in enumerate(queues):
        shares[by_slot.get(slot, members[slot % len(members)]).worker].add(name)
    for member in members:  # more workers than queues
        if member.slot >= len(queues):
            shares[member.worker].add(queues[member.slot % len(queues)])
