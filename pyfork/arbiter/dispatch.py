"""Dispatch: what the arbiter itself has to do for who gets a new connection.

With ``least`` and ``shared`` that is nothing: the workers hold the listeners. With ``round-robin``
the arbiter does, and `RoundRobin` gives what it accepts to the workers that may have it.
"""

import socket
from dataclasses import dataclass, field

from pyfork.arbiter.crew import Crew, Member
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.ports import Ports
from pyfork.arbiter.round_robin import RoundRobin
from pyfork.arbiter.supervisor import Supervisor
from pyfork.arbiter.wires import Wires
from pyfork.ipc.messages import Mind


@dataclass(slots=True, kw_only=True, eq=False)
class Dispatch:
    """The policy of the generation that serves, carried out."""

    supervisor: Supervisor
    generations: Generations
    crew: Crew
    ports: Ports
    wires: Wires
    _round_robin: RoundRobin = field(init=False)
    _finished: bool = False

    def __post_init__(self) -> None:
        self._round_robin = RoundRobin(self.wires, self._takers, self._listeners)

    @property
    def holding(self) -> bool:
        """Whether connections are in the arbiter's hand alone."""
        return self._round_robin.holding

    @property
    def deadline(self) -> float | None:
        """When to `act` if nothing happens before."""
        return self._round_robin.deadline

    def disown(self) -> None:
        """Close what a forked child has of it."""
        self._round_robin.disown()

    def join(self, member: Member) -> None:
        """A worker is there."""
        self._round_robin.join(member)

    def leave(self, member: Member) -> None:
        """A worker is dead, and not buried yet."""
        self._round_robin.leave(member)

    def act(self, now: float) -> None:
        """Once a turn."""
        self._round_robin.act(now)

    def finish(self) -> None:
        """This is the end of the port: the workers empty the kernel's queues."""
        if self._finished:
            return
        listeners = [each.fileno() for each in self._listeners()]
        if listeners:
            for member in self._takers():
                self.wires.send(member.channel, Mind(), listeners)
        self._round_robin.finish()
        self._finished = True

    def _takers(self) -> list[Member]:
        return [each for each in self.crew if each.tray and each.on_duty and not each.held]

    def _listeners(self) -> list[socket.socket]:
        serving = self.supervisor.serving.number
        if self._finished or self.generations.config(serving).dispatch != "round-robin":
            return []
        return [listener.socket for listener in self.ports.of(serving)]
