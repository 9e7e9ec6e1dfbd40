"""Limits how much of one kind of work a worker does in one iteration of its loop.

A loop runs the callbacks of all connections that have become readable before it looks for new
ones. So hundreds of clients whose work comes at once would hold up everybody else for as long as
all of it takes. Work beyond the limit waits for later iterations.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class LoopTurns:
    """The limit of one worker for one kind of work."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        """``limit``: units of work in an iteration."""
        self._loop = loop
        self._limit = limit
        self._left = limit  # in this iteration
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    @property
    def is_over(self) -> bool:
        """Whether no more work may be done in this iteration."""
        return self._left <= 0

    def spend(self, units: int) -> None:
        """Count ``units`` of work that was done."""
        self._left -= units
        self._schedule()

    def wait(self, take_turn: Callable[[], None]) -> None:
        """Call ``take_turn`` once, in a later iteration."""
        self._waiting.append(take_turn)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._is_scheduled = False
        self._left = self._limit
        while self._waiting and not self.is_over:
            self._waiting.popleft()()
        if self._waiting:
            self._schedule()
