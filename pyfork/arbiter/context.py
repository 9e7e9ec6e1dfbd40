"""What everybody in the arbiter works with.

Rules: built once, before anything happens; holds, and does nothing.
"""

from collections.abc import Callable

from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.handoff import HandoffBroker
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.signals import SignalPipe
from pyfork.arbiter.workers.hooks import OperatorHooks
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.ipc.poller import Poller
from pyfork.record import record
from pyfork.supervisor.supervisor import Supervisor


@record(kw_only=True)
class ArbiterContext:
    """The arbiter's things."""

    inbox: SignalPipe  # where signals arrive
    wires: Poller  # where everything else does
    supervisor: Supervisor  # decides
    generations: Generations  # that count, with their configurations
    ports: ListenerTable  # the listeners
    crew: WorkerPool  # the worker processes
    handoffs: HandoffBroker  # connections on their way from one to another
    hooks: OperatorHooks  # of the operator
    private: list[Callable[[], object]]  # closes what is the arbiter's alone: called in each child

    def all_but_a_workers(self) -> list[Callable[[], object]]:
        """Closes whatever is open here: for a child that is no worker."""
        ports = (each.close for each in self.ports.all_sockets().values())
        board = self.crew.scoreboard.close_file
        return [*self.private, *ports, *self.crew.channels(), board]
