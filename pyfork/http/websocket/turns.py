"""Limits how many WebSocket frames of all clients a worker reads in one loop iteration.

A frame of six bytes takes as long as a small request, and one read may have forty thousand. Frames
beyond the limit wait for later iterations, so that other connections are served meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable

FRAMES = 250  # they take some milliseconds


class FrameTurns:
    """The frame limit of one worker."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = FRAMES  # in this iteration
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    @property
    def is_over(self) -> bool:
        """Whether no more frames may be read in this iteration."""
        return self._left <= 0

    def spend(self, frames: int) -> None:
        """Count ``frames`` that were read."""
        self._left -= frames
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
        self._left = FRAMES
        while self._waiting and not self.is_over:
            self._waiting.popleft()()
        if self._waiting:
            self._schedule()
