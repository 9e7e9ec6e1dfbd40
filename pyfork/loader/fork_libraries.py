"""What known libraries need around a fork, as far as one public call of theirs does it.

A library is looked at only if the application has imported it.
"""

import gc
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

from pyfork.record import record

log = logging.getLogger("pyfork.error")


@record
class ForkLibrary:
    """A library, and the call that it needs.

    Args:
        module: that is imported where the library is in use.
        call: gets the module.
    """

    module: str
    call: Callable[[Any], object]


# Modules that start their threads again in a forked process, so the threads are no hazard.
FORK_AWARE = (
    "opentelemetry",  # its processors call os.register_at_fork
    "sentry_sdk",  # its worker compares process ids
)


def _engines(module: Any) -> list[Any]:
    """The engines of SQLAlchemy. (`isinstance` would ask lazy objects for their class.)"""
    return [each for each in gc.get_objects() if issubclass(type(each), module.Engine)]


def _dispose_engines(module: Any) -> None:
    for engine in _engines(module):
        if not _in_use(engine):
            engine.dispose()


def _close_connections(module: Any) -> None:
    if sys.modules["django.conf"].settings.configured:  # another library may have imported it
        module.connections.close_all()


def _in_use(engine: Any) -> int:
    return int(getattr(engine.pool, "checkedout", int)())


def pools_in_use() -> Iterator[str]:
    """The connection pools whose connections somebody holds, which `prepare` cannot close."""
    module = sys.modules.get("sqlalchemy.engine")
    for engine in _engines(module) if module else ():
        if count := _in_use(engine):
            yield f"{count} connection(s) of the pool of {engine!r} are in use"


# After warm-up: a connection that is idle here is of no use, and workers must not share it.
BEFORE_FORK = (
    ForkLibrary("django.db", _close_connections),
    ForkLibrary("sqlalchemy.engine", _dispose_engines),
)

# In each worker. Otherwise all draw the same numbers.
AFTER_FORK = (ForkLibrary("numpy.random", lambda random: random.seed()),)


def prepare(libraries: tuple[ForkLibrary, ...]) -> None:
    """Make the calls of the libraries that are imported. An error is logged."""
    for each in libraries:
        if (module := sys.modules.get(each.module)) is not None:
            try:
                each.call(module)
            except Exception:
                log.warning(
                    "--preload: %s cannot be prepared for forks", each.module, exc_info=True
                )
