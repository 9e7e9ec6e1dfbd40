"""An upgrade in place: this process becomes the new program, and keeps all that it has.

A child becomes it first, in a rehearsal: it is left the same, and goes as far as its loop.

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

from pyfork.arbiter.context import ArbiterContext
from pyfork.arbiter.upgrade.child import VARIABLE, command_line, exec_command, exec_or_report
from pyfork.arbiter.upgrade.saved_state import ExecState
from pyfork.arbiter.workers import fork
from pyfork.config.directory import Start
from pyfork.supervisor.state import WorkerState

log = logging.getLogger("pyfork.error")

REHEARSAL_LIMIT = 30  # seconds

_LASTING = (WorkerState.SERVING, WorkerState.RETIRING)


def is_quiescent(house: ArbiterContext) -> bool:
    """Whether everything that is known here can be written down."""
    return (
        house.supervisor.candidate is None
        and not house.handoffs.pending
        and all(each.state in _LASTING for each in house.supervisor.workers)
        and all(member.channel.is_empty for member in house.crew)
    )


@contextmanager
def no_signals() -> Iterator[None]:
    """Signals are blocked from before the last look at those that came: what comes later waits in
    the kernel for the new program's handlers, since a mask and what it holds survive an exec."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def dry_run(house: ArbiterContext, clients: Sequence[int], words: IO[bytes]) -> int:
    """Begin the rehearsal, in a child whose pid is returned; its stderr goes to ``words``.

    Raises:
        OSError: the system has no process or file to give.
    """
    estate = _save_state(house, clients)
    written = estate.save()
    try:
        play = partial(_run_dry, house.generations.start, estate, written, words)
        return fork.fork(play, disown=())
    finally:
        os.close(written)


def _run_dry(start: Start, estate: ExecState, written: int, words: IO[bytes]) -> int:
    """The rehearsal. Nobody may be mistaken about who lives and who does not by what it holds."""
    signal.alarm(REHEARSAL_LIMIT)  # it has the listeners, and this arbiter might be killed
    stand_in, _ = socket.socketpair()
    for fd in estate.lines():
        os.dup2(stand_in.fileno(), fd)
    environ = dict(os.environ) | {VARIABLE: f"rehearsal:{written}"}
    return exec_or_report(
        command_line(), environ, start, keep=(written, *estate.fds()), words=words
    )


def exec_new_program(house: ArbiterContext, clients: Sequence[int]) -> None:
    """Leave everything to it; ``clients`` are fds of those who wait for the upgrade's end.

    Raises:
        HookError: pre_exec failed.
        ConfigError: the directory in which it was started is not there.
        OSError: it cannot be executed.
    """
    house.hooks.before_exec()
    estate = _save_state(house, clients)
    log.info("upgrade: this process becomes the new program")
    written = estate.save()
    try:
        environ = dict(os.environ) | {VARIABLE: f"exec:{written}"}
        exec_command(command_line(), environ, house.generations.start, keep=tuple(estate.fds()))
    finally:
        for fd in estate.fds():
            os.set_inheritable(fd, False)
        os.close(written)


def _save_state(house: ArbiterContext, clients: Sequence[int]) -> ExecState:
    """Who has no place in it is not there in a quiet moment."""
    serving = house.supervisor.serving
    workers = [each for each in house.supervisor.workers if each.state in _LASTING]
    directory = house.generations.directory(serving.number)
    return ExecState(
        generation=serving.number,
        size=serving.size,
        policy=serving.policy,
        scoreboard=house.crew.scoreboard.fd,
        listeners={text: each.fileno() for text, each in house.ports.all_sockets().items()},
        survivors=tuple(house.crew.survivors(workers)),
        clients=tuple(clients),
        directory=(directory.base, directory.path, directory.written),
    )
