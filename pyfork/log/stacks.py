"""The stacks of all threads: in the log, and on stderr when the process is aborted."""

import faulthandler
import logging
from contextlib import suppress
from traceback import format_stack
from typing import TYPE_CHECKING, Any

from pyfork.log.output import LogOutput
from pyfork.system.memfd import anonymous_file

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger("pyfork.error")


def write_at_abort() -> None:
    """Write the stacks to stderr at SIGABRT and at crashes; stderr may take none of it.

    A second call does the same, after `faulthandler.disable`.
    """
    with suppress(OSError, ValueError, RuntimeError):  # there may be no stderr
        # The descriptor stays open: faulthandler writes to it from a signal handler.
        faulthandler.enable(LogOutput.of_stream(2).fd)


def log_stacks(why: str) -> None:
    """Log the stack of each thread."""
    with anonymous_file("pyfork-stacks") as file:
        faulthandler.dump_traceback(file.fileno())
        file.seek(0)
        stacks = file.read().decode(errors="backslashreplace").rstrip()
    log.warning("%s; the stacks of all threads:\n%s", why, stacks)


def format_task(task: "asyncio.Task[Any]") -> list[str]:
    """Where a task is suspended: from its coroutine down to what that waits for.

    `asyncio.Task.get_stack` has the first of these only.
    """
    lines: list[str] = []
    waits: Any = task.get_coro()
    while (
        frame := getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
    ) is not None:
        lines += format_stack(frame, 1)
        waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
    return lines
