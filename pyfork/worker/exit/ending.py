"""The time in which a worker's interpreter ends, and what happens to what needs more.

Application code decides how long its exit functions, threads and children take. A timer names what
is still there when the time is over, ends the application's children, and leaves.
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

LEAST = 0.5  # seconds that an end has, whatever the drain has left of the grace
FAILED = 1.0  # seconds that a worker has which could not boot; the arbiter gives it a little more
TERMINATION = 0.2  # seconds between SIGTERM and SIGKILL for children
STUCK = 1.0  # seconds after which a main thread in C code, which hears no signal, is ended too


def limit(seconds: float, status: int) -> None:
    """End this process with ``status`` in ``seconds``, if it has not ended by itself before."""
    left = max(LEAST, seconds)

    def overdue(number: int, frame: FrameType | None) -> NoReturn:
        _tell(left, frame)
        _end_children()
        setup.flush(PATIENCE)
        os._exit(status)

    signal.signal(signal.SIGALRM, overdue)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, left)
    with suppress(OSError, ValueError, RuntimeError):  # there may be no stderr
        faulthandler.dump_traceback_later(left + STUCK, exit=True, file=LogOutput.of_stream(2).fd)


def _tell(seconds: float, frame: FrameType | None) -> None:
    """What is still there."""
    threads = [f"thread {name}" for name in _threads()]
    children = [f"child process {each.pid} ({_name(each)})" for each in _children()]
    found = [*threads, *children] or [f"an exit function, {_where(frame)}"]
    log.warning("the worker's end took over %.1f s: %s still ran", seconds, ", ".join(found))


def _threads() -> Iterator[str]:
    """Those that Python waits for, with the line at which each is."""
    frames = sys._current_frames()
    for each in threading.enumerate():
        if not each.daemon and each.ident != threading.get_ident() and each.is_alive():
            yield f"{each.name!r} {_where(frames.get(each.ident or 0))}".rstrip()


def _where(frame: FrameType | None) -> str:
    """The innermost line that is not of the standard library's threading."""
    while frame is not None and frame.f_code.co_filename == threading.__file__:
        frame = frame.f_back
    if frame is None:
        return ""
    return f"at {frame.f_code.co_filename}:{frame.f_lineno}"


def _children() -> "list[psutil.Process]":
    """Processes that the application has started, but for those that left for a session of their
    own."""
    import psutil  # seldom needed

    session, found = os.getsid(0), []
    for each in psutil.Process().children():
        with suppress(psutil.Error, OSError):
            if each.status() != psutil.STATUS_ZOMBIE and os.getsid(each.pid) == session:
                found.append(each)
    return found


def _name(process: "psutil.Process") -> str:
    """What multiprocessing calls it, or its command line."""
    import psutil

    if multiprocessing := sys.modules.get("multiprocessing"):
        for each in multiprocessing.active_children():
            if each.pid == process.pid:
                return str(each.name)
    try:
        return " ".join(process.cmdline())[:80] or process.name()
    except psutil.Error:
        return "ended"


def _end_children() -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not (children := _children()):
            return
        for each in children:
            with suppress(ProcessLookupError):
                os.kill(each.pid, number)
        until = monotonic() + TERMINATION
        while _children() and monotonic() < until:
            sleep(0.01)
