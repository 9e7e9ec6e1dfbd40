"""The time limit for the exit of a worker's interpreter.

Exit functions, threads and children of the application may take any time. After the limit a timer
logs what is left, ends the application's children, and ends the process.
"""

import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic, sleep
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from pyfork.log import setup
from pyfork.log.output import LogOutput
from pyfork.log.sink import PATIENCE

if TYPE_CHECKING:
    import psutil

log = logging.getLogger("pyfork.error")

MIN_EXIT_SECONDS = 0.5  # seconds for the exit at least, even if the drain used the whole grace
FAILED_BOOT_SECONDS = (
    1.0  # seconds for a worker that could not boot; the arbiter waits a little longer
)
TERMINATE_SECONDS = 0.2  # seconds between SIGTERM and SIGKILL for children
# seconds after which a main thread in C code, which runs no signal handler, is ended too
STUCK_SECONDS = 1.0


def limit_exit(seconds: float, status: int) -> None:
    """End this process with ``status`` in ``seconds``, unless it has ended before."""
    left = max(MIN_EXIT_SECONDS, seconds)

    def overdue(number: int, frame: FrameType | None) -> NoReturn:
        _log_remaining(left, frame)
        _end_children()
        setup.flush(PATIENCE)
        os._exit(status)

    signal.signal(signal.SIGALRM, overdue)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, left)
    with suppress(OSError, ValueError, RuntimeError):  # there may be no stderr
        faulthandler.dump_traceback_later(
            left + STUCK_SECONDS, exit=True, file=LogOutput.of_stream(2).fd
        )


def _log_remaining(seconds: float, frame: FrameType | None) -> None:
    """Log what is left."""
    threads = [f"thread {name}" for name in _threads()]
    children = [f"child process {each.pid} ({_name(each)})" for each in _children()]
    found = [*threads, *children] or [f"an exit function, {_where(frame)}"]
    log.warning("the worker's end took over %.1f s: %s still ran", seconds, ", ".join(found))


def _threads() -> Iterator[str]:
    """Describe the threads that Python waits for, with the current line of each."""
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if not thread.daemon and thread.ident != threading.get_ident() and thread.is_alive():
            yield f"{thread.name!r} {_where(frames.get(thread.ident or 0))}".rstrip()


def _where(frame: FrameType | None) -> str:
    """Return the innermost line outside the standard library's threading."""
    while frame is not None and frame.f_code.co_filename == threading.__file__:
        frame = frame.f_back
    if frame is None:
        return ""
    return f"at {frame.f_code.co_filename}:{frame.f_lineno}"


def _children() -> "list[psutil.Process]":
    """Return the application's child processes, except those in a session of their own."""
    import psutil  # rarely needed

    session, found = os.getsid(0), []
    for child in psutil.Process().children():
        with suppress(psutil.Error, OSError):
            if child.status() != psutil.STATUS_ZOMBIE and os.getsid(child.pid) == session:
                found.append(child)
    return found


def _name(process: "psutil.Process") -> str:
    """Return the name that multiprocessing gave it, or its command line."""
    import psutil

    if multiprocessing := sys.modules.get("multiprocessing"):
        for child in multiprocessing.active_children():
            if child.pid == process.pid:
                return str(child.name)
    try:
        return " ".join(process.cmdline())[:80] or process.name()
    except psutil.Error:
        return "ended"


def _end_children() -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not (children := _children()):
            return
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)
        until = monotonic() + TERMINATE_SECONDS
        while _children() and monotonic() < until:
            sleep(0.01)
