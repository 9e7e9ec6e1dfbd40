"""The worker processes: forks them, and releases what they leave.

Rules: decides nothing, waits for nothing.
"""

import logging
import socket
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pyfork.arbiter.component import Component, Components
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.preload.fork_servers import ForkServers
from pyfork.arbiter.workers import fork
from pyfork.arbiter.workers.child import run_worker, set_up_process
from pyfork.arbiter.workers.hooks import OperatorHooks
from pyfork.arbiter.workers.process import BIND_KEY, WorkerProcess
from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.errors import ConfigError
from pyfork.ipc.channel import Channel, pair
from pyfork.ipc.connection_queue import ConnectionQueue
from pyfork.ipc.fd_queue import FdQueue, FdQueueReader
from pyfork.ipc.messages import Failed
from pyfork.ipc.scoreboard import Scoreboard
from pyfork.ipc.stack_file import StackFile
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.log import setup
from pyfork.record import entity, field
from pyfork.supervisor.actions import Spawn
from pyfork.supervisor.state import SavedWorker, WorkerRecord

if TYPE_CHECKING:
    from pyfork.hooks.objects import HookWorker
    from pyfork.net.tls.context import TlsContexts

log = logging.getLogger("pyfork.error")


@entity
class WorkerPool(Component):
    """All worker processes."""

    worker_main: str  # dotted name of a WorkerMain; resolved in the child
    components: Components
    listeners: ListenerTable
    scoreboard: Scoreboard
    queue: ConnectionQueue
    hooks: OperatorHooks
    fork_servers: ForkServers
    lost: int = 0  # log lines that exited workers could not write
    served: int = 0  # requests that exited workers have answered
    deaths: int = 0  # workers that exited without being told to
    _workers: dict[int, WorkerProcess] = field(default_factory=dict)  # by serial

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(tuple(self._workers.values()))

    def get(self, serial: int) -> WorkerProcess | None:
        """The worker with this serial, if it is alive."""
        return self._workers.get(serial)

    def with_pid(self, pid: int) -> WorkerProcess | None:
        """The worker with this process id, if there is one."""
        return next((worker for worker in self if worker.pid == pid), None)

    def save(self, records: Iterable[WorkerRecord]) -> Iterator[SavedWorker]:
        """The workers for the saved state; ``records`` are the supervisor's."""
        known = {record.serial: record for record in records}
        for worker in self:
            record = known.get(worker.serial)
            if record is not None:  # None: it was killed, and given up
                yield worker.save(record)

    def restore(self, workers: Iterable[SavedWorker]) -> None:
        """Take over the workers that lived through an exec."""
        for saved in workers:
            row = self.scoreboard.row(saved.row)
            self._workers[saved.serial] = WorkerProcess.restore(saved, row)

    def spawn(
        self,
        action: Spawn,
        config: Config,
        directory: Directory,
        now: float,
        *,
        own_log: bool,
        hold_accept: bool,
        tls: "TlsContexts | None" = None,
    ) -> WorkerProcess:
        """Fork a worker.

        ``own_log``: it configures its own log from ``config``, instead of using the arbiter's.
        ``hold_accept``: once ready, it waits for StartAccepting.

        Raises:
            OSError: the system has no process or descriptor to give.
            HookError: pre_fork failed.
        """
        worker, theirs = self._prepare(action, config, now, hold_accept=hold_accept)
        try:
            worker.hook_worker = self._call_pre_fork(worker, config)
            if config.preload:
                self.fork_servers.fork_worker(worker, theirs, own_log=own_log)
                self._workers[action.worker] = worker
                return worker
            args = self._worker_args(worker, theirs, config, directory, tls)
            worker.pid = fork.fork(
                lambda: _run_child(self.worker_main, args, own_log=own_log),
                lambda: self._close_in_worker(worker, keep_queue=args.queue is not None),
            )
        except BaseException:
            self._release(worker)
            raise
        finally:
            theirs.close()
        self._workers[action.worker] = worker
        self.hooks.after_fork(worker.hook_worker, worker.pid)
        return worker

    def started(self, worker: WorkerProcess, pid: int) -> None:
        """A fork server has forked the process of ``worker``."""
        worker.started(pid)
        self.hooks.after_fork(worker.hook_worker, pid)

    def _prepare(
        self, action: Spawn, config: Config, now: float, *, hold_accept: bool
    ) -> tuple[WorkerProcess, Channel]:
        """A worker without a process, and the worker's end of its channel.

        Raises:
            OSError: the scoreboard is full, or there are no more descriptors.
        """
        index = self._free_row()
        bound = (BIND_KEY,) if config.bind else ()  # a script reports later where it listens
        fd_queues = {key: FdQueue.make() for key in bound if config.dispatch == "round-robin"}
        ours, theirs = pair()
        stacks = StackFile.make()
        self.scoreboard.mark_used(index)
        row = self.scoreboard.row(index)
        row.clear()
        worker = WorkerProcess(
            serial=action.worker,
            slot=action.slot,
            generation=action.generation,
            pid=0,
            channel=ours,
            row=row,
            index=index,
            fd_queues=fd_queues,
            listens_to=set(bound) if config.dispatch == "reuseport" else set(),
            born=now,
            hold_accept=hold_accept,
            stacks=stacks,
        )
        return worker, theirs

    def _free_row(self) -> int:
        """The index of the first free row on the scoreboard. Raises OSError."""
        taken = {worker.index for worker in self}
        for index in range(len(self.scoreboard)):
            if index not in taken:
                return index
        raise OSError(f"{len(taken)} workers are more than the scoreboard has rows")

    def _call_pre_fork(self, worker: WorkerProcess, config: Config) -> "HookWorker | None":
        """Call pre_fork. Returns the worker as hooks see it. Raises HookError."""
        return self.hooks.before_fork(
            config,
            age=worker.serial,
            slot=worker.slot,
            generation=worker.generation,
            row=worker.row,
        )

    def _worker_args(
        self,
        worker: WorkerProcess,
        theirs: Channel,
        config: Config,
        directory: Directory,
        tls: "TlsContexts | None",
    ) -> WorkerArgs:
        """The arguments for the process of ``worker``."""
        bound = self.listeners.sockets(worker.generation).values()
        return WorkerArgs(
            config=config,
            slot=worker.slot,
            generation=worker.generation,
            listeners=self._accept_sources(worker),
            directory=directory,
            addresses=tuple(each.getsockname() for each in bound),
            channel=theirs,
            row=worker.row,
            scoreboard=self.scoreboard,
            script_addresses=tuple(self.listeners.handles.addresses()),
            hold_accept=worker.hold_accept,
            hook_worker=worker.hook_worker,
            queue=self.queue if config.bind else None,
            tls=tls,
            stacks=worker.stacks,
        )

    def _accept_sources(self, worker: WorkerProcess) -> tuple[socket.socket | FdQueueReader, ...]:
        """Where a worker accepts from the start."""
        if worker.listens_to:
            return ()
        if worker.fd_queues:
            return tuple(FdQueueReader(queue.theirs) for queue in worker.fd_queues.values())
        return tuple(self.listeners.sockets(worker.generation).values())

    def _close_in_worker(self, worker: WorkerProcess, *, keep_queue: bool) -> None:
        """In the process of ``worker``: close what it inherits and does not use."""
        self.components.close_in_child(keep=(self, self.listeners))
        if worker.fd_queues or worker.listens_to:
            self.listeners.close_in_child()
        else:
            for listener in self.listeners.not_of_generation(worker.generation):
                listener.close()
        self._close_workers()
        if not keep_queue:
            self.queue.close()
        worker.channel.close()
        for queue in worker.fd_queues.values():
            queue.ours.close()

    def close_in_child(self) -> None:
        """Close the channels and queues of all workers, and the scoreboard's file."""
        self._close_workers()
        self.queue.close()

    def _close_workers(self) -> None:
        for worker in self:
            for channel in worker.channels():
                channel.close()
        self.scoreboard.close_file()

    def remove(self, worker: WorkerProcess) -> None:
        """The worker was waited for: close its channel and queues, and free its row."""
        del self._workers[worker.serial]
        self.lost += worker.row.lost
        self.served += worker.row.requests
        self.hooks.after_exit(worker.hook_worker)
        self.scoreboard.retire(worker.row)
        self._release(worker)

    def _release(self, worker: WorkerProcess) -> None:
        for channel in worker.channels():
            channel.close()
        worker.row.clear()


def _run_child(worker_main: str, args: WorkerArgs, *, own_log: bool) -> int:
    """Run a worker in the child. Returns its exit status."""
    setup.identify("worker", args.slot, args.generation)
    try:
        set_up_process(args.config, args.directory, own_log=own_log)
    except ConfigError as error:
        args.channel.send(Failed(str(error), ""))
        return error.status
    return run_worker(fork.import_name(worker_main), args)
