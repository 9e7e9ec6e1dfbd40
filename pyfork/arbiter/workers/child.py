"""The steps of a child of the arbiter before it runs as a worker."""

import os
from contextlib import suppress

from pyfork.arbiter.workers.hooks import run_with_hooks
from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.ipc import titles
from pyfork.ipc.scoreboard import RowState
from pyfork.ipc.worker_args import WorkerArgs, WorkerMain
from pyfork.log import setup
from pyfork.system import environment, systemd_env


def set_up_process(config: Config, directory: Directory, *, own_log: bool) -> None:
    """Remove what is for the arbiter only.

    Args:
        config: of the generation.
        directory: in which it works.
        own_log: its log is not the arbiter's, but what ``config`` says.

    Raises:
        ConfigError: a log file cannot be opened.
    """
    systemd_env.remove(os.environ)
    environment.remove_secrets(os.environ)
    if own_log:
        with suppress(OSError):  # the code that needs it reports that it is gone
            os.chdir(directory.base)
        setup.configure(config)


def run_worker(main: WorkerMain, args: WorkerArgs) -> int:
    """Run ``main`` between the hooks of a worker; returns its exit status."""
    row = args.row
    row.pid, row.slot, row.generation = os.getpid(), args.slot, args.generation
    row.state = RowState.BOOTING
    title = titles.worker_title(args.config.name, args.slot, args.generation, "booting")
    titles.set_title(title)
    if args.stacks is not None:
        args.stacks.write_at_signal()
    return run_with_hooks(main, args) if args.hook_worker is not None else main(args)
