"""Scripts in N processes on one port, after Node's cluster.

What a script may ask for, if it knows that it runs under ``pyfork run``. Elsewhere both have no
effect, so a script that uses them is still an ordinary one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

is_exclusive: ContextVar[bool] = ContextVar("pyfork.cluster.is_exclusive", default=False)
"""Whether sockets that are bound now are this process's own."""


@contextmanager
def exclusive() -> Iterator[None]:
    """Sockets that are bound in this block are this process's own, and shared with nobody."""
    token = is_exclusive.set(True)
    try:
        yield
    finally:
        is_exclusive.reset(token)


def ready() -> None:
    """With ``--ready-on message``: this process serves from now on."""
    # The worker puts its own in the place of this one, see `child`.
