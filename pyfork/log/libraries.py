"""Loggers of other servers, which applications use.

An application written for gunicorn or uvicorn logs to that server's loggers, or takes their
handlers. They have pyfork's handlers, for records of the application.
"""

import logging
import os
import sys

_PACKAGES = ("uvicorn", "websockets")


class Applications(logging.Filter):
    """Passes records of the application, and warnings of the libraries that run in workers.

    pyfork logs itself what those report below a warning.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is written."""
        return record.levelno >= logging.WARNING or not _is_of_library(record.pathname)


def _is_of_library(path: str) -> bool:
    for name in _PACKAGES:
        module = sys.modules.get(name)
        if file := getattr(module, "__file__", None):
            directory = os.path.dirname(file)
            if path.startswith(directory + os.sep):
                return True
    return False
