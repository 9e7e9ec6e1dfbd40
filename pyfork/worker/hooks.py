"""The hooks of a worker that serves an application. Imports nothing if there are none."""

import faulthandler
import os
import signal
from types import FrameType
from typing import TYPE_CHECKING

from pyfork.loader.load import App
from pyfork.log import stacks

if TYPE_CHECKING:
    from pyfork.hooks.objects import HookWorker
    from pyfork.http.connection.connection import Connection
    from pyfork.http.connection.engine import Engine


def after_load(worker: "HookWorker", app: App) -> App:
    """Call the hooks after loading. Returns the application to serve. Raises HookError."""
    from pyfork.hooks.call import call
    from pyfork.hooks.objects import config_of

    worker.app.callable = app.callable
    if config_of(worker).worker_abort is not None:
        _install_abort_hook(worker)
    call(config_of(worker), "post_worker_init", worker)
    worker.booted = True
    return _wrapped(worker, app)


def _wrapped(worker: "HookWorker", app: App) -> App:
    """Wrap ``app`` in the request hooks that are configured."""
    from pyfork.hooks.objects import config_of

    config = config_of(worker)
    if config.pre_request is None and config.post_request is None:
        return app
    from pyfork.worker import request_hooks

    wrap = request_hooks.wrap_asgi if app.interface == "asgi" else request_hooks.wrap_wsgi
    return App(wrap(app.callable, worker), app.interface)


def after_engine(worker: "HookWorker", engine: "Engine[Connection]", app: App) -> None:
    """Install the hooks on ``engine``, which will serve ``app``."""
    from pyfork.hooks.objects import config_of

    if app.interface == "wsgi" and config_of(worker).post_request is not None:
        from pyfork.worker import request_hooks

        request_hooks.install(engine, worker)


def on_interrupt(worker: "HookWorker") -> None:
    """Call the hook for a stop without grace."""
    from pyfork.hooks.call import call_and_log
    from pyfork.hooks.objects import config_of

    if worker.alive:
        worker.alive = False
        call_and_log(config_of(worker), "worker_int", worker)


def _install_abort_hook(worker: "HookWorker") -> None:
    """Call worker_abort at SIGABRT; the process dies in any case.

    faulthandler writes the stacks first, from C: when enabled it keeps the existing handler and
    raises the signal again for that one. If a worker hangs in C code, the stacks are written and
    the hook is not called.
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
