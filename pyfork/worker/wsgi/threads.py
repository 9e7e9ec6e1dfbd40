"""The pool of a `thread` worker: application code runs in threads, all I/O in the loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import get_ident
from typing import TypeVar

from pyfork.http.wsgi.output import call_in_loop
from pyfork.http.wsgi.runners import Job
from pyfork.worker.wsgi.pool import DaemonPool

T = TypeVar("T")


class ThreadRunner:
    """Runs jobs in ``threads`` threads, each job in one of them.

    ``changed`` is called when ``full`` changes. ``went_on`` is called when a job has ended and a
    waiting one begins.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        changed: Callable[[], None],
        went_on: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._threads = threads
        self._changed = changed
        self._went_on = went_on
        self._pool = DaemonPool(threads)
        self._running = 0  # jobs that run or wait

    @property
    def full(self) -> bool:
        """Whether all threads are busy."""
        return self._running >= self._threads

    @property
    def exhausted(self) -> bool:
        """Whether a further request would have to wait for one of the others to end."""
        return self.full

    @property
    def most(self) -> int:
        """How many threads there may be."""
        return self._threads

    def run(self, job: Job) -> None:
        """Run ``job`` in a thread, then ``job.served`` in the loop."""
        self._running += 1
        self._begun()
        self._pool.submit(self._work, job)

    def run_in_loop(self, call: Callable[[], T]) -> T:
        """Run ``call`` in the loop, from a job; wait, and return or raise its result.

        Raises ClientGone after the end of the loop.
        """
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(call())
            except BaseException as error:  # noqa: BLE001 - raised again in the job
                result.set_exception(error)

        call_in_loop(self._loop, run)
        return result.result()

    def _work(self, job: Job) -> None:
        job.thread = get_ident()
        try:
            job.context.run(job.serve)
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._done, job)

    def _done(self, job: Job) -> None:
        self._running -= 1
        self._ended()
        job.served()

    def _begun(self) -> None:
        """Tell that a job has come, if that made a difference."""
        if self._running == self._threads:
            self._changed()

    def _ended(self) -> None:
        """Tell that a job has ended, likewise."""
        if self._running == self._threads - 1:
            self._changed()
        elif self._running >= self._threads:
            self._went_on()
