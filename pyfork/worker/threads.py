"""The pool of a `thread` worker: application code runs in it, all I/O stays in the loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

from pyfork.worker.pool import Pool


class ThreadRunner:
    """Runs steps in ``threads`` threads.

    ``changed`` is called when ``full`` has become true or false.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        changed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._threads = threads
        self._changed = changed
        self._pool = Pool(threads)
        self._running = 0  # steps in the pool, or waiting for it

    @property
    def full(self) -> bool:
        """Whether all threads are busy."""
        return self._running >= self._threads

    def run(self, step: Callable[[], None], then: Callable[[], None]) -> None:
        """Run ``step`` in a thread, then ``then`` in the loop."""
        self._running += 1
        if self._running == self._threads:
            self._changed()
        self._pool.submit(self._work, step, then)

    def in_loop(self, call: Callable[[], None]) -> None:
        """From a step: run ``call`` in the loop and wait; raises what it raises."""
        result: Future[None] = Future()

        def run() -> None:
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - it is raised again where it belongs
                result.set_exception(error)
            else:
                result.set_result(None)

        self._loop.call_soon_threadsafe(run)
        result.result()

    def _work(self, step: Callable[[], None], then: Callable[[], None]) -> None:
        try:
            step()
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._done, then)

    def _done(self, then: Callable[[], None]) -> None:
        self._running -= 1
        if self._running == self._threads - 1:
            self._changed()
        then()
