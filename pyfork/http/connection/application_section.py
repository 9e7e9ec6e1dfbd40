"""Marks the time in which application code holds the loop's thread, for a helper thread.

A helper thread may touch the engine only while application code holds the loop's thread. Neither
side takes a lock for a quick request; the proof is in docs/design.md, "A busy worker".

Rules: the loop's thread writes ``running``, the helper ``watched``; each reads the other's flag
after its own write.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyfork.http.connection.response_writer import ResponseWriter


def _nothing() -> None:
    """The default of `wake`."""


class ApplicationSection:
    """The section of one worker."""

    __slots__ = ("asleep", "running", "settle", "wake", "watched")

    def __init__(self) -> None:
        # Identifies the request whose code holds the loop's thread: a new object for each.
        self.running: ResponseWriter | None = None
        self.asleep = False  # the helper sleeps until `wake` is called
        self.watched = False  # the helper may be reading the engine, or has changed something
        self.wake: Callable[[], None] = _nothing
        self.settle: Callable[[], None] = _nothing
