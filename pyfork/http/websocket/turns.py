"""How many WebSocket frames a worker reads in one turn of its loop, of all its clients together.

A frame of six bytes takes as long as a small request, and a read may hold forty thousand. What
has no place in this turn waits in line for the next ones, while the loop sees to everybody else.
"""

import asyncio
from collections import deque
from collections.abc import Callable

FRAMES = 250  # some milliseconds


class FrameTurns:
    """Of one worker."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = FRAMES  # of this turn
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    @property
    def is_over(self) -> bool:
        """Whether no more frames are read in this turn."""
        return self._left <= 0

    def spend(self, frames: int) -> None:
        """So many frames were read."""
        self._left -= frames
        self._schedule()

    def wait(self, take_turn: Callable[[], None]) -> None:
        """Call ``take_turn`` once, in a later turn."""
        self._waiting.append(take_turn)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._is_scheduled = False
        self._left = FRAMES
        while self._waiting and not self.is_over:
            self._waiting.popleft()()
        if self._waiting:
            self._schedule()
