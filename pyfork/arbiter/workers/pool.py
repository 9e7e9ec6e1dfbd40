"""The worker processes: what each needs to be born, and what is left of it at the end.

Here serials become pids, orders become messages and signals. Nothing here decides or waits.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.upgrade.saved_state import SavedProcess
from pyfork.arbiter.workers import fork
from pyfork.arbiter.workers.hooks import OperatorHooks, run_with_hooks
from pyfork.arbiter.workers.process import BIND_KEY, WorkerProcess
from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.errors import ConfigError
from pyfork.ipc import titles
from pyfork.ipc.channel import Channel, pair
from pyfork.ipc.fd_queue import FdQueue, FdQueueReader
from pyfork.ipc.messages import Failed
from pyfork.ipc.scoreboard import RowState, Scoreboard
from pyfork.ipc.worker_args import WorkerArgs, WorkerMain
from pyfork.log import setup
from pyfork.record import entity, field
from pyfork.supervisor.actions import Spawn
from pyfork.supervisor.state import WorkerRecord
from pyfork.system import environment, systemd_env

if TYPE_CHECKING:
    from pyfork.hooks.objects import HookWorker
    from pyfork.net.tls.context import TlsContexts

log = logging.getLogger("pyfork.error")


@entity
class WorkerPool:
    """Every worker process there is."""

    worker_main: str  # dotted name of a WorkerMain; resolved in the child
    private: list[Callable[[], object]]  # closes what is the arbiter's alone: called in each child
    scoreboard: Scoreboard
    hooks: OperatorHooks
    lost: int = 0  # log lines that workers could not write which have ended
    served: int = 0  # requests that workers have answered which have ended
    deaths: int = 0  # workers that have ended and were not told to
    _members: dict[int, WorkerProcess] = field(default_factory=dict)  # by serial

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(tuple(self._members.values()))

    def get(self, worker: int) -> WorkerProcess | None:
        """The member with this serial, if it is alive."""
        return self._members.get(worker)

    def with_pid(self, pid: int) -> WorkerProcess | None:
        """The member with this process id; None for a stranger."""
        return next((member for member in self if member.pid == pid), None)

    def survivors(self, workers: Iterable[WorkerRecord]) -> Iterator[SavedProcess]:
        """Those that live through an exec which happens now; ``workers`` says how they are."""
        known = {worker.serial: worker for worker in workers}
        for member in self:
            worker = known.get(member.worker)
            if worker is not None:  # else it was killed, and given up
                yield member.survivor(worker)

    def restore(self, survivors: Iterable[SavedProcess]) -> None:
        """Know the workers that lived through an exec."""
        for each in survivors:
            self._members[each.serial] = WorkerProcess.restored(
                each, self.scoreboard.line(each.line)
            )

    def spawn(
        self,
        order: Spawn,
        config: Config,
        directory: Directory,
        ports: ListenerTable,
        now: float,
        *,
        own_log: bool,
        held: bool,
        tls: "TlsContexts | None" = None,
    ) -> WorkerProcess:
        """Fork a worker.

        ``own_log``: its log is not the arbiter's, but what ``config`` says. ``held``: once ready,
        it waits to be told to accept.

        Raises:
            OSError: the system does not give what it takes.
            HookError: pre_fork failed.
        """
        member, theirs = self._prepare(order, config, now, held=held)
        try:
            member.hook_worker = self._call_pre_fork(member, config)
            birth = self._worker_args(member, theirs, config, directory, ports, tls)
            member.pid = fork.fork(
                lambda: _run_child(self.worker_main, birth, own_log=own_log),
                disown=self._what_is_not_its(member, ports),
            )
        except BaseException:
            self._release(member)
            raise
        finally:
            theirs.close()
        self._members[order.worker] = member
        self.hooks.after_fork(member.hook_worker, member.pid)
        return member

    def _prepare(
        self, order: Spawn, config: Config, now: float, *, held: bool
    ) -> tuple[WorkerProcess, Channel]:
        """A member that has no process yet, and the worker's end of its channel.

        Raises:
            OSError: there is no room for another one.
        """
        index = self._free_line()
        bound = (BIND_KEY,) if config.bind else ()  # a script says later where it listens
        trays = {key: FdQueue.make() for key in bound if config.dispatch == "round-robin"}
        ours, theirs = pair()
        self.scoreboard.mark_used(index)
        line = self.scoreboard.line(index)
        line.clear()
        member = WorkerProcess(
            worker=order.worker,
            slot=order.slot,
            generation=order.generation,
            pid=0,
            channel=ours,
            line=line,
            index=index,
            fd_queues=trays,
            listens_to=set(bound) if config.dispatch == "reuseport" else set(),
            born=now,
            held=held,
        )
        return member, theirs

    def _free_line(self) -> int:
        """The index of the first line on the scoreboard that nobody has. Raises OSError."""
        taken = {member.index for member in self}
        for index in range(len(self.scoreboard)):
            if index not in taken:
                return index
        raise OSError(f"{len(taken)} workers are more than the scoreboard has lines for")

    def _call_pre_fork(self, member: WorkerProcess, config: Config) -> "HookWorker | None":
        """What hooks see of it. Raises HookError."""
        return self.hooks.before_fork(
            config,
            age=member.worker,
            slot=member.slot,
            generation=member.generation,
            line=member.line,
        )

    def _worker_args(
        self,
        member: WorkerProcess,
        theirs: Channel,
        config: Config,
        directory: Directory,
        ports: ListenerTable,
        tls: "TlsContexts | None",
    ) -> WorkerArgs:
        """What the process of ``member`` starts with."""
        bound = ports.sockets(member.generation).values()
        return WorkerArgs(
            config=config,
            slot=member.slot,
            generation=member.generation,
            listeners=_places(member, ports),
            directory=directory,
            addresses=tuple(each.getsockname() for each in bound),
            channel=theirs,
            line=member.line,
            scoreboard=self.scoreboard,
            script_addresses=tuple(ports.handles.addresses()),
            hold_accept=member.held,
            hook_worker=member.hook_worker,
            tls=tls,
        )

    def _what_is_not_its(
        self, member: WorkerProcess, ports: ListenerTable
    ) -> list[Callable[[], object]]:
        """What the process of ``member`` inherits and has to close."""
        served_otherwise = member.fd_queues or member.listens_to
        strange = (
            ports.all_sockets().values()
            if served_otherwise
            else ports.not_of_generation(member.generation)
        )
        return [
            *self.private,
            *(listener.close for listener in strange),
            *self.channels(),
            member.channel.close,
            *(tray.ours.close for tray in member.fd_queues.values()),
            self.scoreboard.close_file,
        ]

    def channels(self) -> list[Callable[[], object]]:
        """What another child than a member closes of them."""
        return [place.close for member in self for place in member.channels()]

    def remove(self, member: WorkerProcess) -> None:
        """It was waited for: give its things back."""
        del self._members[member.worker]
        self.lost += member.line.lost
        self.served += member.line.requests
        self.hooks.after_exit(member.hook_worker)
        self._release(member)

    def _release(self, member: WorkerProcess) -> None:
        for each in member.channels():
            each.close()
        member.line.clear()


def _places(
    member: WorkerProcess, ports: ListenerTable
) -> tuple[socket.socket | FdQueueReader, ...]:
    """Where a worker accepts from its birth on."""
    if member.listens_to:
        return ()
    if member.fd_queues:
        return tuple(FdQueueReader(tray.theirs) for tray in member.fd_queues.values())
    return tuple(ports.sockets(member.generation).values())


def _run_child(worker_main: str, birth: WorkerArgs, *, own_log: bool) -> int:
    """The child's life."""
    line, config = birth.line, birth.config
    systemd_env.remove(os.environ)
    environment.remove_secrets(os.environ)
    setup.identify("worker", birth.slot, birth.generation)
    if own_log:
        try:
            with suppress(OSError):  # whoever needs it says that it is gone
                os.chdir(birth.directory.base)
            setup.configure(config)
        except ConfigError as error:
            birth.channel.send(Failed(str(error), ""))
            return error.status
    line.pid, line.slot, line.generation = os.getpid(), birth.slot, birth.generation
    line.state = RowState.BOOTING
    titles.set_title(titles.worker_title(config.name, birth.slot, birth.generation, "booting"))
    main: WorkerMain = fork.import_name(worker_main)
    return run_with_hooks(main, birth) if birth.hook_worker is not None else main(birth)
