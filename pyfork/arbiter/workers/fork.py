"""The fork: the only module that forks, and the clean-up that a child needs before it runs.

A signal between the fork and the child's own handlers would run the arbiter's handler in the child,
and be lost. So handled signals are blocked during the fork. A descriptor that a child inherits by
accident has effects elsewhere: the channel of another worker hides the arbiter's death from that
worker, and a listener keeps its port bound. So the child closes all that the caller lists.
"""

import contextlib
import errno
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from pyfork.arbiter.commands.signals import SIGNALS
from pyfork.arbiter.workers.finalization import finalize
from pyfork.log import setup, stacks, streams

log = logging.getLogger("pyfork.error")

_HANDLED = frozenset(spec.number for spec in SIGNALS)


def fork(run: Callable[[], int], *closers: Callable[[], object]) -> int:
    """Fork a child that calls ``run`` and ends with the status that it returns.

    Args:
        run: runs in the child. An exception is logged, and ends the child with status 1.
        closers: called in the child first: they close what belongs to the arbiter alone.

    Returns:
        The child's process id. In the child this does not return.

    Raises:
        OSError: the system has no process to give.
    """
    for stream in (sys.stdout, sys.stderr):  # otherwise both processes would write what is buffered
        _flush(stream)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            _run_child(run, closers)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def fork_reparented(run: Callable[[], int], *closers: Callable[[], object]) -> None:
    """Fork a child as `fork` does, but as a child of the nearest subreaper above this process.

    A process between the two ends at once. The child waits for a pipe that this process closes when
    the kernel has moved it to the subreaper.

    Raises:
        OSError: the system has no process or descriptor to give.
    """
    moved, move = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        between = os.fork()
        if between == 0:
            _fork_between(run, closers, moved, move)
        _, ended = os.waitpid(between, 0)
        if ended:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(moved)
        os.close(move)


def _fork_between(
    run: Callable[[], int], closers: Iterable[Callable[[], object]], moved: int, move: int
) -> NoReturn:
    """The process between: fork, and end with status 0 if that was possible."""
    status = 1
    try:
        if os.fork() == 0:
            os.close(move)
            os.read(moved, 1)
            os.close(moved)
            _run_child(run, closers)
        status = 0
    finally:
        os._exit(status)


def _run_child(run: Callable[[], int], closers: Iterable[Callable[[], object]]) -> NoReturn:
    """Run the child, and exit."""
    status = 1
    try:
        status = _exit_status_of(lambda: _reset_and_run(run, closers))
        setup.finish()
        finalize()
        streams.flush()
        setup.finish()
    finally:
        os._exit(status)


def _reset_and_run(run: Callable[[], int], closers: Iterable[Callable[[], object]]) -> int:
    signal.set_wakeup_fd(-1)
    for spec in SIGNALS:
        signal.signal(spec.number, signal.SIG_DFL)
    for close in closers:
        with contextlib.suppress(OSError):
            close()
    streams.restore()
    stacks.write_at_abort()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return run()


def _exit_status_of(run: Callable[[], int]) -> int:
    """The exit status of ``run``, also if it raises."""
    try:
        return run()
    except SystemExit as exit_:
        if exit_.code is None or isinstance(exit_.code, int):
            return exit_.code or 0
        log.error("%s", exit_.code)
    except BaseException:  # the last frame of this process
        log.critical("unexpected error: this process ends", exc_info=True)
    return 1


def _flush(stream: object) -> None:
    flush = getattr(stream, "flush", None)
    with contextlib.suppress(OSError, ValueError):  # a closed or full stdout must not stop a fork
        if flush is not None:
            flush()


def import_name(dotted: str) -> Any:
    """Import ``module:name``. (`pkgutil.resolve_name` compiles a pattern in each child.)"""
    module, _, name = dotted.partition(":")
    return getattr(importlib.import_module(module), name)


def describe_exit(status: int) -> str:
    """How a process ended, from `os.waitpid`'s status: "exit status 1", "killed by SIGSEGV"."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-code}"
