"""The hooks of a worker that serves an application. Where there are none, nothing is imported."""

import faulthandler
import os
import signal
from types import FrameType
from typing import TYPE_CHECKING

from pyfork.worker.app import App

if TYPE_CHECKING:
    from pyfork.hooks.faces import WorkerFace


def loaded(worker: "WorkerFace", app: App) -> None:
    """The application is there. Raises HookError."""
    from pyfork.hooks.calling import call
    from pyfork.hooks.faces import config_of

    worker.app.callable = app.callable
    if config_of(worker).worker_abort is not None:
        _mind_abort(worker)
    call(config_of(worker), "post_worker_init", worker)
    worker.booted = True


def interrupted(worker: "WorkerFace") -> None:
    """It is to leave without grace."""
    from pyfork.hooks.calling import attempt
    from pyfork.hooks.faces import config_of

    if worker.alive:
        worker.alive = False
        attempt(config_of(worker), "worker_int", worker)


def _mind_abort(worker: "WorkerFace") -> None:
    """Call worker_abort at SIGABRT, which kills the process all the same.

    faulthandler writes the stacks first, from C: when it is enabled it keeps the handler that it
    finds, and raises the signal again for that one. A worker that hangs in C and never comes back
    to Python has its stacks written, and the hook is not called.
    """

    from pyfork.hooks.calling import attempt
    from pyfork.hooks.faces import config_of

    def aborted(number: int, frame: FrameType | None) -> None:
        worker.aborted = True
        attempt(config_of(worker), "worker_abort", worker)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    was_on = faulthandler.is_enabled()
    faulthandler.disable()
    signal.signal(signal.SIGABRT, aborted)
    if was_on:
        faulthandler.enable()
