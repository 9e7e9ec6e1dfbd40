"""A traceback on the developer's terminal: the application's own part of it."""

import logging

from pyfork.loader.tracebacks import own_traceback
from pyfork.log.terminal import ConsoleFormatter


def install() -> None:
    """From now on, where the log is one for a person."""
    for handler in logging.getLogger("pyfork").handlers:
        if isinstance(handler.formatter, ConsoleFormatter) and handler.formatter.brief:
            handler.formatter.traceback = own_traceback
