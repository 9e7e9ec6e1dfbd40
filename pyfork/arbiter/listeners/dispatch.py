"""The arbiter's part in the distribution of new connections.

With ``least`` and ``shared`` it has none: the workers accept on the listeners. With ``round-robin``
the arbiter accepts, and `RoundRobin` queues each connection for a worker. With ``reuseport`` a
worker accepts on the sockets that `ReuseportAssigner` assigns to it. The policy of a worker is set
when it is forked, or for a script when it listens. So after a reload with another policy, workers
of both are there for a while.
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
            poller, key=BIND_KEY, candidates=self._with_fd_queues, listeners=self._listeners
        )
        self._rounds = RoundRobinByHandle(poller, listeners.handles, self._candidates)
        self._queues = ReuseportAssigner(poller, listeners, self._candidates)

    @property
    def has_undelivered(self) -> bool:
        """Whether the arbiter has accepted connections that no worker has."""
        return self._round_robin.has_undelivered or self._rounds.has_undelivered

    @property
    def deadline(self) -> float | None:
        """When a queued connection has to be given to another worker."""
        return earliest(self._round_robin.deadline, self._rounds.deadline)

    def close_in_child(self) -> None:
        """Close the connections that wait for a worker."""
        self._round_robin.close_in_child()
        self._rounds.close_in_child()

    def add_worker(self, worker: WorkerProcess) -> None:
        """A worker was forked, or restored after an exec."""
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
        """A script listens; ``policy`` is its --dispatch."""
        match policy:
            case "round-robin":
                self._rounds.add_acceptor(worker, key)
            case "reuseport":
                worker.listens_to.add(key)

    def remove_acceptor(self, worker: WorkerProcess, key: str) -> None:
        """A script has closed its listener."""
        self._rounds.remove_acceptor(worker, key)
        worker.listens_to.discard(key)

    def tick(self, now: float) -> None:
        """Accept, queue and assign."""
        self._round_robin.tick(now)
        self._rounds.tick(now)
        if not self._finished:
            serving = self.supervisor.serving
            backlog = self.generations.serving_config.backlog
            self._queues.tick(serving.number, slots=serving.size, backlog=backlog)

    def finish(self) -> None:
        """The server ends: stop accepting, and let the workers empty the kernel's queues."""
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
