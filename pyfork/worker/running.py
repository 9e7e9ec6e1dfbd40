"""Running a worker's coroutine to its end, whatever the application raises in its own tasks.

SystemExit and KeyboardInterrupt leave `run_forever` when a task or a callback raises them: the
worker would end with all that it serves, for what one request has done.
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
    """Run ``coroutine`` as a task of ``loop``, and return or raise what it does."""
    task = loop.create_task(coroutine)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if not (task.done() or _leave_to_its_task(error)):
                log.error("a callback of the application failed", exc_info=error)
    return task.result()


def _leave_to_its_task(error: BaseException) -> bool:
    """Whether a task has it too: it raises it where it is awaited, else asyncio reports it.

    asyncio does so when the task is freed: what the frames of the loop hold would prevent that.
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
