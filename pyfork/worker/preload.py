"""The application in a fork server: imported, called once, and made ready to be shared by workers.

Python writes to an object when it only looks at it, in the reference count. Pages in which that
happens are copied by each worker, so the collector is kept away from everything that exists.
"""

import gc
import signal
from functools import partial
from typing import Any

from pyfork.child.arbiter_loss import exit_when_closed
from pyfork.child.signals import ignore_arbiter_signals
from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.ipc.worker_args import WorkerArgs, WorkerMain
from pyfork.loader.fork_safety import ForkSafety
from pyfork.loader.load import App
from pyfork.loader.warmup import warm_up
from pyfork.worker import main


def load(config: Config, directory: Directory, channel: int) -> WorkerMain:
    """Import the application of ``config``, as the user that workers run as.

    Args:
        config: of the generation.
        directory: in which it works.
        channel: fd of the channel to the arbiter; this process ends when that closes.

    Returns:
        What each worker runs.

    Raises:
        BootError: there is no application, it fails, or it is not safe to fork.
    """
    main.set_up_process(config, directory)
    safety = ForkSafety(config.preload_unsafe)
    with exit_when_closed(channel), safety.observed():
        app = main.load_app(config)
        main.worker_class(config, app)  # its modules are imported once, too
        for target in config.warmup:
            warm_up(app, target)
    safety.check()
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the arbiter ends this process by it
    gc.collect()
    gc.freeze()
    return partial(_work, app, handler)


def _work(app: App, handler: Any, args: WorkerArgs) -> int:
    """Run a worker. ``handler``: of SIGTERM, which the application may have installed."""
    ignore_arbiter_signals()
    signal.signal(signal.SIGTERM, handler)
    return main.main(args, app)
