"""Loggers of other servers, to which applications speak.

An application written for gunicorn or uvicorn logs to that server's loggers, or takes their
handlers for its own. They have ours, for all that the application says.
"""

import logging
import os
import sys

_PACKAGES = ("uvicorn", "websockets")


class Applications(logging.Filter):
    """Lets records of the application pass, and warnings of the classes that run in our workers:
    what those have to say below a warning, we say ourselves."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is for the log."""
        return record.levelno >= logging.WARNING or not _is_of_library(record.pathname)


def _is_of_library(path: str) -> bool:
    for name in _PACKAGES:
        module = sys.modules.get(name)
        if file := getattr(module, "__file__", None):
            directory = os.path.dirname(file)
            if path.startswith(directory + os.sep):
                return True
    return False
