"""``breakpoint()`` in a worker: pdb leaves Ctrl-C to the server.

By itself pdb handles SIGINT from its first ``continue`` on: a Ctrl-C would open a prompt somewhere
in the worker's loop while the server stops.
"""

import os
import sys


def install() -> None:
    """From now on, unless PYTHONBREAKPOINT names another debugger, or another hook is there."""
    if not os.environ.get("PYTHONBREAKPOINT") and sys.breakpointhook is sys.__breakpointhook__:
        sys.breakpointhook = _stop


def _stop(*, header: str | None = None) -> None:
    import pdb  # only whoever stops needs it

    debugger = pdb.Pdb(nosigint=True)
    if header is not None:
        debugger.message(header)
    debugger.set_trace(sys._getframe().f_back)
