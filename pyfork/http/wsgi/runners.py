"""The thread of a WSGI application: the loop's, or one of a pool (`worker.wsgi.threads`)."""

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
    """The application code of one request."""

    context: Context
    thread: int  # the identifier of the thread that serves it

    def serve(self) -> None:
        """Run all of it, from the call to ``close``, in this thread and in ``context``."""

    def served(self) -> None:
        """Called in the loop afterwards."""


class RequestPool(Protocol):
    """Threads for application code."""

    def run(self, job: Job) -> None:
        """Run ``job.serve`` in a thread, then ``job.served`` in the loop."""

    def run_in_loop(self, call: Callable[[], T]) -> T:
        """Run ``call`` in the loop, from `Job.serve`; wait for its result."""


class InlineRunner(ApplicationSection):
    """The loop's thread, in which application code runs one request at a time.

    The application sees no running event loop in it (`WsgiExchange.start`), so it may run its own.
    That changes state of which a process has only one.
    """

    __slots__ = ("_wakeup", "disturbed", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self._wakeup = -1  # the descriptor by which signals wake our loop
        self.disturbed = False  # the application has changed it

    def learn_wakeup(self) -> None:
        """Store our loop's wake-up descriptor (`signal.set_wakeup_fd`). Called in the loop."""
        self._wakeup = signal.set_wakeup_fd(-1)
        self.restore_wakeup()
        self.disturbed = False

    def restore_wakeup(self) -> bool:
        """Restore it: an application's uvloop, or asyncio loop with signal handlers, leaves -1.

        Returns whether it had changed. It takes system calls, so it is called once a second, and
        after each request once a change was found.
        """
        wakeup = self._wakeup
        if wakeup < 0 or signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False) == wakeup:
            return False
        self.disturbed = True
        return True

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """A handler of signals that the loop handles: wake the loop, if another one was woken."""
        if self.restore_wakeup():
            os.write(self._wakeup, bytes([number]))
