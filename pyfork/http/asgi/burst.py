"""Pieces of content that an application sends in quick succession leave together.

Each piece would be a system call of its own. ASGI asks that a piece is in the server's send
buffer before ``send`` returns, not that it is on its way. The first pieces of a burst leave at
once, so that a few that belong together are never held; what an application sends in the same
turn of the loop behind them is held until that turn ends, or a bound is reached.
"""

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection

AT_ONCE = 3  # pieces of a burst that leave each by itself
HELD = 16 * 1024  # bytes that are held at most, and less than one piece beyond
QUICK = 0.0002  # seconds between two pieces of a burst


class Burst:
    """The pieces of one response. ``len`` is how many bytes are held."""

    __slots__ = ("_connection", "_count", "_held", "_last", "_size")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._count = 0  # pieces of this burst
        self._last = 0.0  # monotonic seconds, when there was one
        self._held: list[bytes] = []
        self._size = 0  # bytes in it

    def __len__(self) -> int:
        return self._size

    def write(self, data: bytes) -> None:
        """Send a piece, or hold it for the rest of this turn of the loop."""
        if not data:  # no content may follow the head
            return
        now = monotonic()
        count = self._count = self._count + 1 if now - self._last < QUICK else 1
        self._last = now
        held = self._held
        if count <= AT_ONCE and not held:
            self._connection.write(data)
            return
        held.append(data)
        self._size += len(data)
        if count == 1 or self._size >= HELD:
            self.flush()
        elif len(held) == 1:
            self._connection.engine.loop.call_soon(self.flush)

    def hold(self, data: bytes) -> None:
        """Keep it for the next `flush`."""
        self._held.append(data)
        self._size += len(data)

    def flush(self) -> None:
        """Send the held content."""
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._size = 0
            if data:
                self._connection.write(data)
