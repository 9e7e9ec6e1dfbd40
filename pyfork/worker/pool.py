"""Threads for application code.

Not `concurrent.futures`: at its end Python waits for the threads of an executor, and a request that
was answered for because it hangs must not keep its worker until the grace is over. No result and no
future either: what is submitted tells the loop itself.
"""

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

log = logging.getLogger("pyfork.error")


class DaemonPool:
    """Up to ``size`` daemon threads, which live as long as the process. Each of the first calls
    starts one."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._started = 0
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()

    def submit(self, call: Callable[..., object], *args: object) -> None:
        """Call it in one of the threads. From one thread only. RuntimeError: none can be had."""
        if self._started < self._size:
            Thread(target=self._run, name=f"pyfork_{self._started}", daemon=True).start()
            self._started += 1
        self._calls.put((call, args))

    def _run(self) -> None:
        while True:
            call, args = self._calls.get()
            try:
                call(*args)
            except BaseException:
                log.exception("a call in a thread failed")
            del call, args  # or what they hold lives until the next one
