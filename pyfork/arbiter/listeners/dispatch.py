"""Dispatch: what the arbiter itself has to do for who gets a new connection.

With ``least`` and ``shared`` that is nothing: the workers hold the listeners. With ``round-robin``
the arbiter does, and `RoundRobin` gives what it accepts to the workers that may have it. With
``reuseport`` a worker accepts on what `ReuseportAssigner` gives it. Which it is was settled when a
worker was born, or for a script when it listened: a reload may bring another policy, and for a
while there are workers of both.
"""

import socket

from pyfork.arbiter.component import Component
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.reuseport import ReuseportAssigner
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.arbiter.workers.process import BIND_KEY, WorkerProcess
from pyfork.clock import earliest
from pyfork.dispatch.per_handle import RoundRobinByHandle
from pyfork.dispatch.round_robin import RoundRobin
from pyfork.ipc.messages import AddListeners
from pyfork.ipc.poller import Poller
from pyfork.record import entity, field
from pyfork.supervisor.supervisor import Supervisor


@entity
class Dispatch(Component):
    """Carries out the policy of the generation that serves."""

    poller: Poller
    supervisor: Supervisor
    generations: Generations
    listeners: ListenerTable
    pool: WorkerPool
    _round_robin: RoundRobin = field(init=False)
    _rounds: RoundRobinByHandle = field(init=False)
    _queues: ReuseportAssigner = field(init=False)
    _finished: bool = False

    def __post_init__(self) -> None:
        poller, listeners = self.poller, self.listeners
        self._round_robin = RoundRobin(
            poller, key=BIND_KEY, takers=self._with_fd_queues, listeners=self._listeners
        )
        self._rounds = RoundRobinByHandle(poller, listeners.handles, self._candidates)
        self._queues = ReuseportAssigner(poller, listeners, self._candidates)

    @property
    def has_undelivered(self) -> bool:
        """Whether connections are in the arbiter's hand alone."""
        return self._round_robin.holding or self._rounds.holding

    @property
    def deadline(self) -> float | None:
        """When to `act` if nothing happens before."""
        return earliest(self._round_robin.deadline, self._rounds.deadline)

    def close_in_child(self) -> None:
        """Close what a forked child has of it."""
        self._round_robin.close_in_child()
        self._rounds.close_in_child()

    def add_worker(self, worker: WorkerProcess) -> None:
        """A worker is there."""
        if BIND_KEY in worker.fd_queues:
            self._round_robin.add_worker(worker)
        self._rounds.add_worker(worker)

    def remove_worker(self, worker: WorkerProcess) -> None:
        """A worker is dead, and not removed yet."""
        if BIND_KEY in worker.fd_queues:
            self._round_robin.remove_worker(worker)
        self._rounds.remove_worker(worker)
        self._queues.remove_worker(worker)

    def add_acceptor(self, worker: WorkerProcess, key: str, policy: str) -> None:
        """A script listens, and is to have its connections by ``policy``."""
        match policy:
            case "round-robin":
                self._rounds.add_acceptor(worker, key)
            case "reuseport":
                worker.listens_to.add(key)

    def remove_acceptor(self, worker: WorkerProcess, key: str) -> None:
        """It does not any more."""
        self._rounds.remove_acceptor(worker, key)
        worker.listens_to.discard(key)

    def tick(self, now: float) -> None:
        """Once a turn."""
        self._round_robin.tick(now)
        self._rounds.tick(now)
        if not self._finished:
            serving = self.supervisor.serving
            backlog = self.generations.config(serving.number).backlog
            self._queues.tick(serving.number, slots=serving.size, backlog=backlog)

    def finish(self) -> None:
        """This is the end of the port: the workers empty the kernel's queues."""
        if self._finished:
            return
        listeners = self.listeners.sockets(self.supervisor.serving.number)
        fds = [each.fileno() for each in listeners.values()]
        for worker in self._with_fd_queues():
            self.poller.send(worker.channel, AddListeners(list(listeners)), fds)
        self._round_robin.finish()
        self._rounds.finish()
        self._finished = True

    def _candidates(self) -> list[WorkerProcess]:
        return [each for each in self.pool if each.is_serving and not each.hold_accept]

    def _with_fd_queues(self) -> list[WorkerProcess]:
        return [each for each in self._candidates() if BIND_KEY in each.fd_queues]

    def _listeners(self) -> list[socket.socket]:
        if self._finished:
            return []
        return list(self.listeners.sockets(self.supervisor.serving.number).values())
