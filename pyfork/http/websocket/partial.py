"""The memory of a worker for incomplete WebSocket messages."""

import logging
import time
from collections.abc import Callable

log = logging.getLogger("pyfork.error")

REMIND = 60.0  # seconds between two warnings


class PartialMessages:
    """Of one worker. A message that is alone may take what it likes."""

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes, 0 for none."""
        self._limit = limit
        self._held: dict[Callable[[], None], int] = {}  # bytes, in the order of their beginnings
        self._total = 0
        self._warned = -REMIND

    def hold(self, give_way: Callable[[], None], size: int) -> None:
        """``size`` bytes of a message are held by the connection whose method ``give_way`` is.

        It is called to end the connection; by then it counts no more.
        """
        self._total += size - self._held.get(give_way, 0)
        self._held[give_way] = size
        while 0 < self._limit < self._total and len(self._held) > 1:
            oldest = next(iter(self._held))
            self.release(oldest)
            self._warn()
            oldest()

    def release(self, give_way: Callable[[], None]) -> None:
        """The message is whole, or its connection has ended."""
        self._total -= self._held.pop(give_way, 0)

    def _warn(self) -> None:
        now = time.monotonic()
        if now - self._warned >= REMIND:
            self._warned = now
            log.warning(
                "WebSocket messages that have not come whole take more than --ws-memory (%d MiB): "
                "the connections with the oldest of them are closed (1013)",
                self._limit >> 20,
            )
