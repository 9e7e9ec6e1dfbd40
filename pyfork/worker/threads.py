"""The pool of a `thread` worker: application code runs in it, all I/O stays in the loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class ThreadRunner:
    """Runs steps in ``threads`` threads; says when all are busy, and when one is free again."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        all_busy: Callable[[bool], None],
    ) -> None:
        self._loop = loop
        self._threads = threads
        self._all_busy = all_busy
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pyfork")
        self._running = 0  # steps in the pool, or waiting for it

    def run(self, step: Callable[[], None], then: Callable[[], None]) -> None:
        """Run ``step`` in a thread, then ``then`` in the loop."""
        self._running += 1
        if self._running == self._threads:
            self._all_busy(True)
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
        if self._running == self._threads:
            self._all_busy(False)
        self._running -= 1
        then()
