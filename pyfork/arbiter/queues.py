"""``reuseport``: a queue for each slot, which the arbiter owns and the slot's worker minds.

A queue outlives its worker: it is minded by whoever follows in the slot, and until then, or for
good if there is no such slot any more, by another that serves. So nothing that the kernel has put
there is ever reset.

Every turn compares who minds what with who should, and tells the difference.
"""

import logging
from collections.abc import Callable

from pyfork.arbiter.crew import Member
from pyfork.arbiter.ports import Ports
from pyfork.arbiter.wires import Wires
from pyfork.ipc.messages import Mind, Unmind

log = logging.getLogger("pyfork.error")


class Queues:
    """Who minds which queue.

    Args:
        takers: workers that accept on what they are given, now.
    """

    def __init__(self, wires: Wires, ports: Ports, takers: Callable[[], list[Member]]) -> None:
        self._wires = wires
        self._ports = ports
        self._takers = takers
        self._minded: dict[int, set[str]] = {}  # by serial: the names of what it was given
        self._spread: tuple[int, int] | None = None  # generation and slots, when that was done

    def act(self, generation: int, *, slots: int, backlog: int) -> None:
        """Once a turn."""
        takers = self._takers()
        self._minded = {each.worker: self._minded.get(each.worker, set()) for each in takers}
        if not takers:
            return
        if self._spread != (generation, slots):
            self._spread = generation, slots
            try:
                self._ports.spread(generation, slots, backlog)
            except OSError as error:
                log.warning("not every worker can have a queue of its own: %s", error)
        for member, names in self._shares(generation, takers):
            self._tell(member, names)

    def leave(self, member: Member) -> None:
        """A worker is dead."""
        self._minded.pop(member.worker, None)

    def _shares(self, generation: int, takers: list[Member]) -> list[tuple[Member, set[str]]]:
        """What each should mind: its slot's queue of each address, and some that are nobody's."""
        by_slot = {each.slot: each for each in sorted(takers, key=lambda each: each.worker)}
        members = [by_slot[slot] for slot in sorted(by_slot)]
        shares: dict[int, set[str]] = {each.worker: set() for each in takers}
        for queues in self._ports.queues(generation):
            for slot, name in enumerate(queues):
                shares[by_slot.get(slot, members[slot % len(members)]).worker].add(name)
            for member in members:  # more workers than queues
                if member.slot >= len(queues):
                    shares[member.worker].add(queues[member.slot % len(queues)])
        return [(each, shares[each.worker]) for each in takers]

    def _tell(self, member: Member, names: set[str]) -> None:
        minded = self._minded[member.worker]
        more, less = sorted(names - minded), sorted(minded - names)
        if more:
            sockets = self._ports.all()
            self._wires.send(member.channel, Mind(more), [sockets[name].fileno() for name in more])
        if less:
            self._wires.send(member.channel, Unmind(less))
        self._minded[member.worker] = names
