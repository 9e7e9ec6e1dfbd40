"""The application in a fork server: imported, called once, and prepared for sharing between
workers.

Reading an object in Python writes its reference count, and each worker then copies the page. So
the garbage collector never touches objects that exist before the fork.
"""

import ctypes
import gc
import signal
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any

from pyfork.child.arbiter_loss import exit_when_closed
from pyfork.child.signals import ignore_arbiter_signals
from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.ipc.worker_args import WorkerArgs, WorkerMain
from pyfork.loader import fork_libraries
from pyfork.loader.fork_safety import ForkSafety
from pyfork.loader.load import App
from pyfork.loader.warmup import warm_up
from pyfork.worker import main


def load(config: Config, directory: Directory, channel: int) -> WorkerMain:
    """Import the application of ``config``, as the user of the workers.

    Args:
        config: of the generation.
        directory: its working directory.
        channel: descriptor of the channel to the arbiter; this process ends when that closes.

    Returns:
        The function that each worker runs.

    Raises:
        BootError: there is no application, it fails, or it is not safe to fork.
    """
    main.set_up_process(config, directory)
    safety = ForkSafety((*fork_libraries.FORK_AWARE, *config.preload_unsafe))
    with exit_when_closed(channel), safety.observed():
        app = main.load_app(config)
        for module in main.worker_class(config, app).later_modules(config):
            import_module(module)
        for target in config.warmup:
            warm_up(app, target)
        fork_libraries.prepare(fork_libraries.BEFORE_FORK)
    safety.check()
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the arbiter ends this process by it
    gc.collect()
    gc.freeze()
    _trim()
    return partial(_work, app, handler)


def _trim() -> None:
    """Return the memory that the C library keeps free (malloc_trim(3)); only glibc can."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _work(app: App, handler: Any, args: WorkerArgs) -> int:
    """Run a worker. ``handler``: of SIGTERM, perhaps installed by the application."""
    ignore_arbiter_signals()
    signal.signal(signal.SIGTERM, handler)
    fork_libraries.prepare(fork_libraries.AFTER_FORK)
    return main.main(args, app)
