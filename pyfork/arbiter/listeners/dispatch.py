"""Dispatch: what the arbiter itself has to do for who gets a new connection.

With ``least`` and ``shared`` that is nothing: the workers hold the listeners. With ``round-robin``
the arbiter does, and `RoundRobin` gives what it accepts to the workers that may have it. With
``reuseport`` a worker accepts on what `Queues` gives it. Which it is was settled when a worker was
born, or for a script when it listened: a reload may bring another policy, and for a while there
are workers of both.
"""

import socket

from pyfork.arbiter.context import House
from pyfork.arbiter.listeners.reuseport import Queues
from pyfork.arbiter.workers.process import BOUND, Member
from pyfork.dispatch.per_handle import Rounds
from pyfork.dispatch.round_robin import RoundRobin
from pyfork.ipc.messages import Mind
from pyfork.record import entity, field


@entity
class Dispatch:
    """The policy of the generation that serves, carried out."""

    house: House
    _round_robin: RoundRobin = field(init=False)
    _rounds: Rounds = field(init=False)
    _queues: Queues = field(init=False)
    _finished: bool = False

    def __post_init__(self) -> None:
        wires, ports = self.house.wires, self.house.ports
        self._round_robin = RoundRobin(
            wires, key=BOUND, takers=self._with_trays, listeners=self._listeners
        )
        self._rounds = Rounds(wires, ports.handles, self._takers)
        self._queues = Queues(wires, ports, self._takers)

    @property
    def holding(self) -> bool:
        """Whether connections are in the arbiter's hand alone."""
        return self._round_robin.holding or self._rounds.holding

    @property
    def deadline(self) -> float | None:
        """When to `act` if nothing happens before."""
        times = (self._round_robin.deadline, self._rounds.deadline)
        return min((each for each in times if each is not None), default=None)

    def disown(self) -> None:
        """Close what a forked child has of it."""
        self._round_robin.disown()
        self._rounds.disown()

    def join(self, member: Member) -> None:
        """A worker is there."""
        if BOUND in member.trays:
            self._round_robin.join(member)
        self._rounds.join(member)

    def leave(self, member: Member) -> None:
        """A worker is dead, and not buried yet."""
        if BOUND in member.trays:
            self._round_robin.leave(member)
        self._rounds.leave(member)
        self._queues.leave(member)

    def seat(self, member: Member, key: str, policy: str) -> None:
        """A script listens, and is to have its connections by ``policy``."""
        match policy:
            case "round-robin":
                self._rounds.seat(member, key)
            case "reuseport":
                member.minds.add(key)

    def unseat(self, member: Member, key: str) -> None:
        """It does not any more."""
        self._rounds.unseat(member, key)
        member.minds.discard(key)

    def act(self, now: float) -> None:
        """Once a turn."""
        self._round_robin.act(now)
        self._rounds.act(now)
        if not self._finished:
            serving = self.house.supervisor.serving
            backlog = self.house.generations.config(serving.number).backlog
            self._queues.act(serving.number, slots=serving.size, backlog=backlog)

    def finish(self) -> None:
        """This is the end of the port: the workers empty the kernel's queues."""
        if self._finished:
            return
        listeners = self.house.ports.sockets(self.house.supervisor.serving.number)
        fds = [each.fileno() for each in listeners.values()]
        for member in self._with_trays():
            self.house.wires.send(member.channel, Mind(list(listeners)), fds)
        self._round_robin.finish()
        self._rounds.finish()
        self._finished = True

    def _takers(self) -> list[Member]:
        return [each for each in self.house.crew if each.on_duty and not each.held]

    def _with_trays(self) -> list[Member]:
        return [each for each in self._takers() if BOUND in each.trays]

    def _listeners(self) -> list[socket.socket]:
        if self._finished:
            return []
        return list(self.house.ports.sockets(self.house.supervisor.serving.number).values())
