"""The entry point of a worker: the arbiter calls `main` in the forked child.

The child sets up its process, loads the application, and runs the worker class.
"""

import os
import signal
from importlib import import_module

from pyfork.child.arbiter_loss import exit_when_closed
from pyfork.child.privileges import drop_privileges
from pyfork.child.signals import ignore_arbiter_signals
from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.config.greenlets import patched_by
from pyfork.errors import BootError, ExitStatus, HookError
from pyfork.ipc.messages import Failed
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader.load import App, load, set_up_path
from pyfork.log import setup as logs
from pyfork.worker import hooks
from pyfork.worker.base import BaseWorker
from pyfork.worker.exit import ending
from pyfork.worker.exit.termination import end_while_loading

CLASSES = {
    "sync": "pyfork.worker.wsgi.worker:WsgiWorker",
    "thread": "pyfork.worker.wsgi.worker:WsgiWorker",
    "asgi": "pyfork.worker.asgi.worker:AsgiWorker",
    "uvicorn": "pyfork.worker.uvicorn.worker:UvicornWorker",
}


def main(args: WorkerArgs, app: App | None = None) -> int:
    """Run a worker; returns its exit status.

    Args:
        args: from the arbiter.
        app: the application, where a fork server has imported it.
    """
    try:
        os.environ["PYFORK_WORKER"] = str(args.slot)
        if app is None:
            set_up_process(args.config, args.directory)
        try:
            return _serve(args, app)
        except BootError as error:
            if not args.config.reload or patched_by():  # no worker class runs in a patched process
                raise
            wrong = error
        from pyfork.worker.error_page import serve_error_page

        return serve_error_page(args, wrong)
    except (BootError, HookError) as error:
        args.channel.send(Failed(str(error), error.detail))
        ending.limit_exit(ending.FAILED_BOOT_SECONDS, ExitStatus.BOOT)
        return ExitStatus.BOOT
    except BaseException:
        ending.limit_exit(ending.FAILED_BOOT_SECONDS, ExitStatus.FAILED)
        raise


def set_up_process(config: Config, directory: Directory) -> None:
    """Become a process that loads the application: signals, privileges, environment, path."""
    ignore_arbiter_signals()
    signal.signal(signal.SIGTERM, end_while_loading)
    drop_privileges(config)
    set_up_path(directory, config.pythonpath, config.env)
    if config.reload:
        from pyfork.dev import breakpoints, bytecode, console

        breakpoints.install()
        console.install()
        bytecode.install([os.getcwd(), *map(os.path.abspath, config.pythonpath)])


def _serve(args: WorkerArgs, app: App | None) -> int:
    """Load the application unless it is there, and serve it to the end."""
    if app is None:
        with exit_when_closed(args.channel.fileno()):
            app = load_app(args.config)
    _refuse_greenlets(args.config)
    if args.hook_worker is not None:
        app = hooks.after_load(args.hook_worker, app)
    if args.config.reload:
        from pyfork.dev.application import for_development

        app = for_development(app, args)
    worker = worker_class(args.config, app)(args, app)
    logs.enable_loggers()
    return worker.run()


def _refuse_greenlets(config: Config) -> None:
    """Raise BootError if the application patched Python and the worker class cannot run
    greenlets."""
    library = patched_by()
    if library and (config.worker_class in CLASSES or config.worker_class == "auto"):
        raise BootError(
            f"{config.app} is patched by {library}, and no worker class here runs greenlets: leave "
            f"its monkey patching out and use -k thread, with as many --threads as requests wait "
            f"at a time (32, say); or start a program with {library}'s own server: "
            "pyfork run server.py"
        )


def load_app(config: Config) -> App:
    """Load the application that ``config`` names. Raises BootError."""
    assert config.app is not None
    return load(config.app, factory=config.factory, interface=config.interface)


def worker_class(config: Config, app: App) -> type[BaseWorker]:
    """Return the worker class for ``-k`` and the application. Raises BootError if they do not
    match."""
    kind = config.worker_class
    if kind == "auto":
        kind = "asgi" if app.interface == "asgi" else "sync"
    path = CLASSES.get(kind, kind)
    module, _, name = path.replace(":", ".").rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BootError(f"worker class {kind!r} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, BaseWorker)):
        raise BootError(
            f"worker class {kind!r} is not a subclass of "
            f"pyfork.worker.base.BaseWorker{_advice(found)}"
        )
    if found.interface not in ("any", app.interface):
        raise BootError(
            f"worker class {kind!r} runs {found.interface.upper()} applications, and "
            f"{config.app!r} speaks {app.interface.upper()}: leave -k out, or use -k auto"
        )
    if config.dispatch not in found.dispatches:
        raise BootError(
            f"worker class {kind!r} does not support --dispatch {config.dispatch}: "
            f"it accepts connections by itself"
        )
    return found


def _advice(found: object) -> str:
    """Tell how to replace a worker class that was made for gunicorn."""
    if hasattr(found, "CONFIG_KWARGS"):  # derived from uvicorn's
        return "; set here what its CONFIG_KWARGS set, and use -k asgi, or -k uvicorn"
    return "; leave -k out" if hasattr(found, "init_process") else ""
