"""Threads for application code.

Not `concurrent.futures`: Python waits at exit for the threads of an executor, so one hanging
request would keep its worker until the end of the grace. Results and futures are not needed: a job
notifies the loop itself.
"""

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

Call = tuple[Callable[..., object], tuple[object, ...]]

log = logging.getLogger("pyfork.error")


class DaemonPool:
    """Up to ``size`` daemon threads. Each of the first calls starts one."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._started = 0
        self._calls: SimpleQueue[Call | None] = SimpleQueue()  # None ends a thread

    def submit(self, call: Callable[..., object], *args: object) -> None:
        """Run ``call`` in one of the threads. Raises RuntimeError if no thread can be started.

        Must be called from one thread only.
        """
        if self._started < self._size:
            self._start()
        self._calls.put((call, args))

    def resize(self, size: int) -> None:
        """Have ``size`` threads: start the missing ones, or end others behind the queued calls."""
        while self._started < size:
            self._start()
        while self._started > size:
            self._calls.put(None)
            self._started -= 1
        self._size = size

    def _start(self) -> None:
        Thread(target=self._run, name=f"pyfork_{self._started}", daemon=True).start()
        self._started += 1

    def _run(self) -> None:
        while (queued := self._calls.get()) is not None:
            call, args = queued
            try:
                call(*args)
            except BaseException:
                log.exception("a call in a thread failed")
            del call, args, queued  # or their objects live until the next call
