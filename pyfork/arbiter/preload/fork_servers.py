"""The fork servers of the generations that are configured with --preload.

A request for a worker is a message with the worker's end of its channel. It waits in the socket
until the fork server has imported the application. A fork server that ends closes the requests
that it has not read, so the arbiter sees the end of those workers' channels.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from pyfork.arbiter.component import Component, Components
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.preload.fork_server import ForkServerArgs, run
from pyfork.arbiter.preload.saved import SavedForkServer
from pyfork.arbiter.workers import fork
from pyfork.arbiter.workers.hooks import OperatorHooks
from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.clock import earliest
from pyfork.cluster import orphans
from pyfork.ipc.channel import Channel, pair
from pyfork.ipc.connection_queue import ConnectionQueue
from pyfork.ipc.messages import Failed, ForkServerReady, ForkWorker, Message
from pyfork.ipc.poller import Poller
from pyfork.ipc.scoreboard import Scoreboard
from pyfork.record import entity, field, record
from pyfork.supervisor.backoff import Backoff
from pyfork.supervisor.supervisor import Supervisor

log = logging.getLogger("pyfork.error")


@record
class PreloadFailure:
    """The application of a generation could not be imported."""

    fork_server: int  # its process id
    reason: str
    detail: str  # the application's traceback


@entity
class ForkServer:
    """One fork server, as the arbiter knows it."""

    generation: int
    pid: int
    channel: Channel  # the arbiter's end
    started_at: float
    is_ready: bool = False


@entity
class ForkServers(Component):
    """Starts them when workers are wanted, again when they die, and ends them."""

    poller: Poller
    components: Components
    supervisor: Supervisor
    generations: Generations
    listeners: ListenerTable
    scoreboard: Scoreboard
    queue: ConnectionQueue
    hooks: OperatorHooks
    _servers: dict[int, ForkServer] = field(default_factory=dict)  # by generation
    _ended: set[int] = field(default_factory=set)  # pids of those that were told to end
    _backoffs: dict[int, Backoff] = field(default_factory=dict)  # of those that died or failed
    _failures: list[PreloadFailure] = field(default_factory=list)

    def __iter__(self) -> Iterator[ForkServer]:
        return iter(tuple(self._servers.values()))

    # Workers.

    def fork_worker(self, worker: WorkerProcess, theirs: Channel, *, own_log: bool) -> None:
        """Have the process of ``worker`` forked; ``theirs`` is its end of the channel.

        Args:
            own_log: the log of the generation is not yet the arbiter's.

        Raises:
            OSError: the system has no process or descriptor to give.
        """
        origin = self.generations.fork_server(worker.generation)
        server = self._servers.get(origin)
        if server is None:
            inherited = [theirs, *worker.channels()]  # the pool does not know them yet
            server = self._start(worker.generation, own_log, *(each.close for each in inherited))
        request = ForkWorker(
            worker=worker.serial,
            slot=worker.slot,
            generation=worker.generation,
            row=worker.index,
            hold_accept=worker.hold_accept,
            adds_listeners=bool(worker.listens_to),
        )
        ends = [theirs.fileno(), *(queue.theirs.fileno() for queue in worker.fd_queues.values())]
        assert worker.stacks is not None
        self.poller.send(server.channel, request, [*ends, worker.stacks.fileno()])
        worker.fork_server = server.pid

    def abort(self, generation: int) -> None:
        """Its workers were not ready in time: if the import hangs, end it, with its stacks."""
        server = self._servers.get(self.generations.fork_server(generation))
        if server is not None and not server.is_ready:
            with suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGABRT)

    def send(self, message: Message, generation: int | None = None) -> None:
        """Send a message to the fork servers, or to that of one generation."""
        origin = None if generation is None else self.generations.fork_server(generation)
        for server in self:
            if origin in (None, server.generation) or server.generation == self._previous():
                self.poller.send(server.channel, message)

    # Through an exec.

    def save(self, generation: int) -> SavedForkServer | None:
        """The fork server of a generation, for the saved state."""
        server = self._servers.get(self.generations.fork_server(generation))
        if server is None:
            return None
        return SavedForkServer(
            pid=server.pid,
            channel=server.channel.fileno(),
            started_at=server.started_at,
            is_ready=server.is_ready,
        )

    def restore(self, saved: SavedForkServer, generation: int) -> None:
        """Take over the fork server that lived through an exec."""
        channel = Channel(socket.socket(fileno=saved.channel))
        server = ForkServer(generation, saved.pid, channel, saved.started_at, saved.is_ready)
        self._add(server)

    # Their lives.

    @property
    def deadline(self) -> float | None:
        """When one is started again."""
        return earliest(*(self._retry_at(each) for each in self._missing()))

    def tick(self, now: float) -> None:
        """End those whose generation is over, and start those again that have died."""
        counted = {self.generations.fork_server(each) for each in self._counted()}
        for server in self:
            if server.generation not in counted | {self._previous()} or not counted:
                self._end(server)
        self._backoffs = {each: kept for each, kept in self._backoffs.items() if each in counted}
        for generation in self._missing():
            if self._retry_at(generation) <= now:
                try:
                    self._start(generation, generation != self.supervisor.serving.number)
                except OSError as error:
                    log.error("cannot fork the fork server: %s", error)
                    self._backoffs[self.generations.fork_server(generation)].record_exit(now, 0.0)

    def take(self) -> list[PreloadFailure]:
        """The failures since the last call."""
        failures, self._failures = self._failures, []
        return failures

    def exited(self, pid: int, how: str) -> bool:
        """A child ended; whether it was a fork server."""
        if pid in self._ended:
            self._ended.remove(pid)
            return True
        server = next((each for each in self if each.pid == pid), None)
        if server is None:
            return False
        if server.generation == self._previous():
            then = "there is nothing to roll back to"
        elif server.generation != self.generations.fork_server(self.supervisor.serving.number):
            then = "the workers that it has not forked yet cannot boot"
        else:
            then = "its workers keep serving, and it is started again"
        text = "the fork server of generation %d died (%s): %s"
        log.error(text, server.generation, how, then)
        self._forget(server)
        return True

    def close(self) -> None:
        """End all."""
        for server in self:
            self._end(server)

    def close_in_child(self) -> None:
        """Close what a forked child has of them."""
        for server in self:
            server.channel.close()

    def _counted(self) -> list[int]:
        """The generations whose workers may have to be replaced."""
        supervisor = self.supervisor
        if supervisor.stop_started:
            return []
        return [each.number for each in (supervisor.serving, supervisor.candidate) if each]

    def _previous(self) -> int | None:
        """The generation whose fork server is kept for a rollback."""
        previous = self.generations.previous
        return previous.fork_server if previous else None

    def _missing(self) -> list[int]:
        """The generations whose fork server has died or failed."""
        origins = {each: self.generations.fork_server(each) for each in self._counted()}
        return [
            generation
            for generation, origin in origins.items()
            if origin in self._backoffs and origin not in self._servers
        ]

    def _retry_at(self, generation: int) -> float:
        return self._backoffs[self.generations.fork_server(generation)].retry_at

    def _start(self, generation: int, own_log: bool, *closers: Callable[[], object]) -> ForkServer:
        """Fork the fork server of a generation, where ``closers`` are called. Raises OSError."""
        try:
            orphans.become_subreaper()  # workers become children of this process
        except ImportError as error:
            raise OSError(f"--preload needs Python's ctypes: {error}") from error
        ours, theirs = pair()
        queue = ConnectionQueue.from_fds([os.dup(fd) for fd in self.queue.fds()])
        try:
            args = ForkServerArgs(
                config=self.generations.config(generation),
                generation=generation,
                directory=self.generations.directory(generation),
                channel=theirs,
                listeners=tuple(self.listeners.sockets(generation).values()),
                scoreboard=self.scoreboard,
                queue=queue,
                hooks=self.hooks,
                tls=self.generations.certificates.for_generation(generation),
                own_log=own_log,
            )
            others = partial(self._close_others, generation)
            pid = fork.fork(partial(run, args), others, ours.close, *closers)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            queue.close()
        origin = self.generations.fork_server(generation)
        server = ForkServer(origin, pid, ours, time.monotonic())
        self._add(server)
        return server

    def _add(self, server: ForkServer) -> None:
        self._servers[server.generation] = server
        self.poller.connect(server.channel, partial(self._on_message, server), lambda why: None)

    def _close_others(self, generation: int) -> None:
        """In the fork server: close what belongs to the arbiter and to other generations."""
        self.components.close_in_child(keep=(self.listeners,))
        for listener in self.listeners.not_of_generation(generation):
            listener.close()

    def _on_message(self, server: ForkServer, message: Message, fds: Sequence[int]) -> None:
        match message:
            case ForkServerReady():
                server.is_ready = True
                took = (time.monotonic() - server.started_at) * 1000
                log.info(
                    "the application of generation %d is loaded after %.0f ms (fork server, "
                    "pid %d)",
                    server.generation,
                    took,
                    server.pid,
                )
            case Failed(reason=reason, detail=detail):
                self._failures.append(PreloadFailure(server.pid, reason, detail))
                self._end(server)
                self._note_loss(server)
            case _:
                log.error("a fork server sent what only others send: %s", message)

    def _end(self, server: ForkServer) -> None:
        self._ended.add(server.pid)
        self._disconnect(server)
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGTERM)

    def _forget(self, server: ForkServer) -> None:
        self._disconnect(server)
        if server.generation == self._previous():
            self.generations.previous = None  # what it had imported is gone
        self._note_loss(server)

    def _note_loss(self, server: ForkServer) -> None:
        now = time.monotonic()
        uptime = now - server.started_at if server.is_ready else 0.0
        self._backoffs.setdefault(server.generation, Backoff()).record_exit(now, uptime)

    def _disconnect(self, server: ForkServer) -> None:
        del self._servers[server.generation]
        self.poller.unwatch(server.channel)
        server.channel.close()
