"""Logging handlers as an operator may have them, for --log-config."""

import logging
import threading


class Blocking(logging.Handler):
    """Its server does not answer."""

    answered = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.answered.wait()


class Raising(logging.Handler):
    """It has a fault."""

    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("no such server")
