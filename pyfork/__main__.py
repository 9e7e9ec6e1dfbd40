"""The first thing that runs: answer to signals, then become the command."""

import gc
import os
import signal
import sys


def main() -> None:
    """Run the ``pyfork`` command and exit with its status."""
    # Before anything else is imported: to be told to stop while starting is no failure, and there
    # is nothing yet to clean up. The arbiter puts its own handlers in the place of this one.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

    gc.disable()  # what is loaded from here on stays: the command says when that has an end
    if os.environ.get("PYFORK_UPGRADE", "").startswith("exec:"):
        from pyfork import reexec

        sys.exit(reexec.run_until_started(_command))
    sys.exit(_command())


def _command() -> int:
    from pyfork.cli import main as command

    return command(sys.argv[1:])


if __name__ == "__main__":
    main()
