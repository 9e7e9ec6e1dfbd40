"""``breakpoint()`` in a worker: pdb leaves Ctrl-C to the server.

By itself pdb handles SIGINT from its first ``continue`` on: a Ctrl-C would open a prompt somewhere
in the worker's loop while the server stops.
"""

import os
import sys
from collections.abc import Iterable


def install() -> None:
    """From now on, unless PYTHONBREAKPOINT names another debugger, or another hook is there."""
    if not os.environ.get("PYTHONBREAKPOINT") and sys.breakpointhook is sys.__breakpointhook__:
        sys.breakpointhook = _stop


def _stop(*, header: str | None = None, commands: Iterable[str] | None = None) -> None:
    """As `pdb.set_trace`, of which CPython 3.14 has ``commands``."""
    import pdb  # few requests stop

    debugger = pdb.Pdb(nosigint=True)
    debugger.rcLines.extend(commands or ())
    if header is not None:
        debugger.message(header)
    debugger.set_trace(sys._getframe().f_back)
