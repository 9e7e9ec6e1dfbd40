"""An upgrade in place: this process executes the new program, and keeps workers and listeners.

A child executes it first, as a dry run: it gets the same state, and goes as far as its loop.

Rules: whether it is time to is asked here; when to try, and what a failure means, is not.
"""

import logging
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import IO

from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.handoff import HandoffBroker
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.reporting.history import History
from pyfork.arbiter.upgrade.child import command_line, exec_command, exec_or_report
from pyfork.arbiter.upgrade.saved_state import ExecState
from pyfork.arbiter.upgrade.state import DRY_RUN_TIMEOUT
from pyfork.arbiter.workers import fork
from pyfork.arbiter.workers.hooks import OperatorHooks
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.config.directory import Start
from pyfork.record import entity
from pyfork.supervisor.state import WorkerState
from pyfork.supervisor.supervisor import Supervisor
from pyfork.system.environment import UPGRADE

log = logging.getLogger("pyfork.error")

_LASTING = (WorkerState.SERVING, WorkerState.RETIRING)


@contextmanager
def no_signals() -> Iterator[None]:
    """Block signals. Both the mask and the pending signals survive an exec, so that a signal which
    arrives after the last check is handled by the new program."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@entity
class ExecInPlace:
    """Executes the new program in this process, which keeps its workers and listeners."""

    supervisor: Supervisor
    generations: Generations
    listeners: ListenerTable
    pool: WorkerPool
    handoffs: HandoffBroker
    hooks: OperatorHooks
    history: History

    def is_quiescent(self) -> bool:
        """Whether the saved state would hold all that this arbiter knows."""
        return (
            self.supervisor.candidate is None
            and not self.handoffs.pending
            and all(worker.state in _LASTING for worker in self.supervisor.workers)
            and all(worker.channel.is_empty for worker in self.pool)
            and all(server.channel.is_empty for server in self.pool.fork_servers)
        )

    def dry_run(self, clients: Sequence[int], stderr: IO[bytes]) -> int:
        """Start the dry run in a child, whose pid is returned; its stderr goes to ``stderr``.

        Raises:
            OSError: the system has no process or file to give.
        """
        state = self._save_state(clients)
        saved = state.save()
        try:
            run = partial(_run_dry, self.generations.start, state, saved, stderr)
            return fork.fork(run)
        finally:
            os.close(saved)

    def exec_new_program(self, clients: Sequence[int]) -> None:
        """Execute the new program. ``clients``: control connections that wait for the result.

        Raises:
            HookError: pre_exec failed.
            ConfigError: the directory in which pyfork was started does not exist.
            OSError: the program cannot be executed.
        """
        self.hooks.before_exec()
        state = self._save_state(clients)
        log.info("upgrade: this process becomes the new program")
        saved = state.save()
        try:
            environ = dict(os.environ) | {UPGRADE: f"exec:{saved}"}
            exec_command(command_line(), environ, self.generations.start, keep=tuple(state.fds()))
        finally:
            for fd in state.fds():
                os.set_inheritable(fd, False)
            os.close(saved)

    def _save_state(self, clients: Sequence[int]) -> ExecState:
        """The state to save, in a quiescent moment."""
        serving = self.supervisor.serving
        workers = [worker for worker in self.supervisor.workers if worker.state in _LASTING]
        directory = self.generations.directory(serving.number)
        sockets = self.listeners.all_sockets()
        return ExecState(
            generation=serving.number,
            size=serving.size,
            policy=serving.policy,
            scoreboard=self.pool.scoreboard.fd,
            queue=self.pool.queue.fds(),
            listeners=tuple((name, listener.fileno()) for name, listener in sockets.items()),
            workers=tuple(self.pool.save(workers)),
            clients=tuple(clients),
            directory=(directory.base, directory.path, directory.written),
            drained=tuple(self.supervisor.drained),
            fork_server=self.pool.fork_servers.save(serving.number),
            history=tuple(self.history),
            counts=self.history.counts,
            served=self.pool.served,
            deaths=self.pool.deaths,
        )


def _run_dry(start: Start, state: ExecState, saved: int, stderr: IO[bytes]) -> int:
    """Run the dry run. This child inherits the channels, which would hide the death of a peer from
    the other end, so they are first replaced by a dummy socket."""
    signal.alarm(int(DRY_RUN_TIMEOUT))  # it has the listeners, and this arbiter might be killed
    dummy, _ = socket.socketpair()
    for fd in state.peer_fds():
        os.dup2(dummy.fileno(), fd)
    environ = dict(os.environ) | {UPGRADE: f"dry-run:{saved}"}
    return exec_or_report(command_line(), environ, start, keep=(saved, *state.fds()), stderr=stderr)
