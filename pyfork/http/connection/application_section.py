"""The time in which application code holds the loop's thread, as another thread may see it.

A helper thread may touch the engine while application code holds the loop's thread, and never
else. Neither takes a lock on the way of a quick request; the proof is in docs/design.md, "A busy
worker".

Rules: the loop's thread writes ``running``, the helper ``watched``; each looks at the other's
behind its own write.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyfork.http.connection.exchange import Exchange


def _nothing() -> None:
    """What is called where no helper is wanted."""


class ApplicationSection:
    """One worker's."""

    __slots__ = ("asleep", "running", "settle", "wake", "watched")

    def __init__(self) -> None:
        # Whose application code holds the loop's thread: an object of its own for each request.
        self.running: Exchange | None = None
        self.asleep = False  # the helper sleeps until `wake` is called
        self.watched = False  # the helper may be looking at the engine, or has changed something
        self.wake: Callable[[], None] = _nothing
        self.settle: Callable[[], None] = _nothing
