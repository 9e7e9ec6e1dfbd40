"""Every test of this room leaves the logging package as it found it."""

import logging
from collections.abc import Iterator

import pytest

from pyfork.config.config import Config
from pyfork.log import setup


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Our loggers bare before and after, and the root's handlers kept."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for name in (setup.ERROR, setup.ACCESS):  # who this process is, as a test elsewhere left it
        logging.getLogger(name).filters.clear()
    yield
    setup.configure(Config())
    for name in (
        "pyfork",
        setup.ERROR,
        setup.ACCESS,
        "uvicorn",
        "gunicorn.error",
        "gunicorn.access",
    ):
        logger = logging.getLogger(name)
        logger.filters.clear()
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
            handler.close()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)
