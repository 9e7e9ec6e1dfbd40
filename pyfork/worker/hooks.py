"""The hooks of a worker that serves an application. Where there are none, nothing is imported."""

import faulthandler
import os
import signal
from types import FrameType
from typing import TYPE_CHECKING

from pyfork.loader.load import App
from pyfork.log import stacks

if TYPE_CHECKING:
    from pyfork.hooks.objects import HookWorker
    from pyfork.http.connection.engine import Engine


def after_load(worker: "HookWorker", app: App) -> App:
    """The application is there; what is to be served in its place. Raises HookError."""
    from pyfork.hooks.call import call
    from pyfork.hooks.objects import config_of

    worker.app.callable = app.callable
    if config_of(worker).worker_abort is not None:
        _install_abort_hook(worker)
    call(config_of(worker), "post_worker_init", worker)
    worker.booted = True
    return _wrapped(worker, app)


def _wrapped(worker: "HookWorker", app: App) -> App:
    """``app`` with what is called around each request, if anything is."""
    from pyfork.hooks.objects import config_of

    config = config_of(worker)
    if config.pre_request is None and config.post_request is None:
        return app
    from pyfork.worker import request_hooks

    wrap = request_hooks.wrap_asgi if app.interface == "asgi" else request_hooks.wrap_wsgi
    return App(wrap(app.callable, worker), app.interface)


def after_engine(worker: "HookWorker", engine: "Engine", app: App) -> None:
    """``engine`` is there, which is to serve ``app``."""
    from pyfork.hooks.objects import config_of

    if app.interface == "wsgi" and config_of(worker).post_request is not None:
        from pyfork.worker import request_hooks

        request_hooks.install(engine, worker)


def on_interrupt(worker: "HookWorker") -> None:
    """It is to leave without grace."""
    from pyfork.hooks.call import call_and_log
    from pyfork.hooks.objects import config_of

    if worker.alive:
        worker.alive = False
        call_and_log(config_of(worker), "worker_int", worker)


def _install_abort_hook(worker: "HookWorker") -> None:
    """Call worker_abort at SIGABRT, which kills the process all the same.

    faulthandler writes the stacks first, from C: when it is enabled it keeps the handler that it
    finds, and raises the signal again for that one. A worker that hangs in C and never comes back
    to Python has its stacks written, and the hook is not called.
    """

    from pyfork.hooks.call import call_and_log
    from pyfork.hooks.objects import config_of

    def aborted(number: int, frame: FrameType | None) -> None:
        worker.aborted = True
        call_and_log(config_of(worker), "worker_abort", worker)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    was_on = faulthandler.is_enabled()
    faulthandler.disable()
    signal.signal(signal.SIGABRT, aborted)
    if was_on:
        stacks.write_at_abort()
