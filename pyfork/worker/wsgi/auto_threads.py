"""``--threads auto``: a pool that grows while requests wait for threads that only block.

A thread that computes has the interpreter lock, and more threads would share it. Threads that wait
for a database or a service have not. So what the process computes is measured while a request
waits: the time in which its threads ran, or were ready and had no CPU. If that is well below the
time that passed, the lock was free, and each waiting request gets a thread.
"""

import asyncio
import os
from collections.abc import Callable
from time import monotonic, process_time

from pyfork.system.cpus import usable
from pyfork.worker.wsgi.threads import ThreadRunner

_FIRST, _NEXT = 0.005, 0.02  # seconds of the first measurement while requests wait, and of others
_FREE = 0.7  # a smaller share of the time in which threads computed leaves the lock free
_UNUSED = 10.0  # seconds after which threads end that were not used in them


def most_threads() -> int:
    """Return how many threads a worker may have."""
    return min(32, usable() + 4)


def may_grow(computed: float, passed: float) -> bool:
    """Whether the threads blocked on something other than the interpreter lock. In seconds."""
    return computed < _FREE * passed


class AutoThreads(ThreadRunner):
    """Runs jobs in one thread, and in up to ``most`` when they wait."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        most: int,
        changed: Callable[[], None],
        went_on: Callable[[], None],
        *,
        unused: float = _UNUSED,
    ) -> None:
        """``unused`` is in seconds; see `ThreadRunner`."""
        super().__init__(loop, 1, changed, went_on)
        self._most = most
        self._unused = unused
        self._measuring = False
        self._stuck = False  # requests wait, and more threads would not help
        self._peak = 0  # jobs at once since the last look

    @property
    def most(self) -> int:
        return self._most

    @property
    def full(self) -> bool:
        return self._stuck or self.exhausted

    @property
    def exhausted(self) -> bool:
        """Whether a further request would have to wait for one of the others to end."""
        return self._running >= self.most

    def _begun(self) -> None:
        self._peak = max(self._peak, self._running)
        if self._running == self.most:
            self._changed()
        if self._running > self._threads < self.most and not self._measuring:
            self._measure(_FIRST)

    def _ended(self) -> None:
        unstuck = self._stuck and self._running < self._threads
        if unstuck or self._running == self.most - 1:
            self._stuck = self._stuck and not unstuck
            self._changed()
        elif self._running >= self._threads:
            self._went_on()

    def _measure(self, seconds: float) -> None:
        self._measuring = True
        self._loop.call_later(seconds, self._look, monotonic(), computed())

    def _look(self, since: float, before: float) -> None:
        """Grow, if requests wait and the interpreter lock was free."""
        self._measuring = False
        waiting = self._running - self._threads
        if waiting <= 0:
            return
        if may_grow(computed() - before, monotonic() - since):
            self._resize(min(self.most, self._threads + waiting))
        elif not self._stuck:
            self._stuck = True
            self._changed()
        if self._running > self._threads < self.most:
            self._measure(_NEXT)

    def _resize(self, threads: int) -> None:
        if self._threads == 1:
            self._loop.call_later(self._unused, self._shrink)
        self._threads = threads
        self._pool.resize(threads)
        if self._stuck:
            self._stuck = False
            self._changed()

    def _shrink(self) -> None:
        """End threads that were not used since the last call."""
        needed, self._peak = max(1, self._peak, self._running), self._running
        if needed < self._threads:
            self._threads = needed
            self._pool.resize(needed)
        if self._threads > 1:
            self._loop.call_later(self._unused, self._shrink)


def computed() -> float:
    """Return the seconds in which threads of this process ran, or were ready and had no CPU."""
    total = 0
    try:
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/schedstat", "rb") as file:
                ran, ready, _ = file.read().split()
            total += int(ran) + int(ready)
    except (OSError, ValueError):  # not Linux, or a thread has ended
        return process_time()
    return total / 1e9
