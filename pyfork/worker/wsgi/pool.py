"""Threads for application code.

Not `concurrent.futures`: Python waits at exit for the threads of an executor, so one hanging
request would keep its worker until the end of the grace. Results and futures are not needed: a job
notifies the loop itself.
"""

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

log = logging.getLogger("pyfork.error")


class DaemonPool:
    """Up to ``size`` daemon threads. Each of the first calls starts one."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._started = 0
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()

    def submit(self, call: Callable[..., object], *args: object) -> None:
        """Run ``call`` in one of the threads. Raises RuntimeError if no thread can be started.

        Must be called from one thread only.
        """
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
            del call, args  # or their objects live until the next call
