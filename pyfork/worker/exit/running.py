"""Run a worker's coroutine to its end, even if tasks of the application raise SystemExit.

`run_forever` raises a task's SystemExit or KeyboardInterrupt. One request could so end the worker.
"""

import asyncio
import inspect
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger("pyfork.error")


def run(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine`` as a task of ``loop``. Returns or raises its result."""
    task = loop.create_task(coroutine)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if not (task.done() or _is_held_by_task(error)):
                log.error("a callback of the application failed", exc_info=error)
    return task.result()


def _is_held_by_task(error: BaseException) -> bool:
    """Whether a task holds ``error``: it is raised where that is awaited, or asyncio reports it.

    asyncio reports it when the task is freed, so the frames of the loop must not hold it.
    """
    entry = error.__traceback__
    of_loop = []
    while entry is not None and not entry.tb_frame.f_code.co_flags & inspect.CO_COROUTINE:
        of_loop.append(entry.tb_frame)
        entry = entry.tb_next
    if entry is None:
        return False
    error.__traceback__ = entry
    for frame in of_loop:
        with suppress(RuntimeError):  # it is running: ours
            frame.clear()
    return True
