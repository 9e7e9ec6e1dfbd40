"""What everybody in the arbiter works with.

Rules: built once, before anything happens; holds, and does nothing.
"""

from collections.abc import Callable

from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.handoff import Handoffs
from pyfork.arbiter.listeners.table import Ports
from pyfork.arbiter.signals import Inbox
from pyfork.arbiter.workers.hooks import Hooks
from pyfork.arbiter.workers.pool import Crew
from pyfork.ipc.poller import Wires
from pyfork.record import record
from pyfork.supervisor.supervisor import Supervisor


@record(kw_only=True)
class House:
    """The arbiter's things."""

    inbox: Inbox  # where signals arrive
    wires: Wires  # where everything else does
    supervisor: Supervisor  # decides
    generations: Generations  # that count, with their configurations
    ports: Ports  # the listeners
    crew: Crew  # the worker processes
    handoffs: Handoffs  # connections on their way from one to another
    hooks: Hooks  # of the operator
    private: list[Callable[[], object]]  # closes what is the arbiter's alone: called in each child

    def all_but_a_workers(self) -> list[Callable[[], object]]:
        """Closes whatever is open here: for a child that is no worker."""
        ports = (each.close for each in self.ports.all().values())
        board = self.crew.scoreboard.close_file
        return [*self.private, *ports, *self.crew.channels(), board]
