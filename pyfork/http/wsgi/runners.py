"""Where a WSGI application runs: in the loop's thread, or in a pool (`worker.threads`)."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextvars import Context
from types import FrameType
from typing import Protocol, TypeVar

from pyfork.http.connection.application_section import ApplicationSection

T = TypeVar("T")


class Job(Protocol):
    """One request's application code."""

    context: Context

    def serve(self) -> None:
        """All of it, from the call to ``close``, in one thread and in ``context``."""

    def served(self) -> None:
        """Called behind it, in the loop."""


class RequestPool(Protocol):
    """Threads for application code."""

    def run(self, job: Job) -> None:
        """Run ``job.serve`` in one of them, then ``job.served`` in the loop."""

    def run_in_loop(self, call: Callable[[], T]) -> T:
        """Called from `Job.serve`: run ``call`` in the loop, and wait for what it gives."""


class InlineRunner(ApplicationSection):
    """The loop's thread, in which application code runs one request at a time.

    To the application that thread has no running event loop (`WsgiExchange.start`), so it may run
    one of its own, which changes what only one loop of a process can have.
    """

    __slots__ = ("_wakeup", "disturbed", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self._wakeup = -1  # the descriptor by which signals wake our loop
        self.disturbed = False  # the application is one that changes it

    def learn_wakeup(self) -> None:
        """Remember our loop's wakeup descriptor (`signal.set_wakeup_fd`). Called in the loop."""
        self._wakeup = signal.set_wakeup_fd(-1)
        self.restore_wakeup()
        self.disturbed = False

    def restore_wakeup(self) -> bool:
        """Put it back: an application's uvloop, or asyncio loop with signal handlers, leaves -1.

        Whether there was another. It takes system calls, so it is called once a second; and behind
        each request from the first on that was found to have made a change.
        """
        wakeup = self._wakeup
        if wakeup < 0 or signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False) == wakeup:
            return False
        self.disturbed = True
        return True

    def heard(self, number: int, frame: FrameType | None) -> None:
        """A handler of signals that the loop handles: tells the loop, if another one was told."""
        if self.restore_wakeup():
            os.write(self._wakeup, bytes([number]))
