"""The memory of a worker for input that waits for the responses to earlier requests.

Clients may pipeline requests (RFC 9112 9.3.2), and a read has up to 256 KiB of them. Where all
connections keep more than the limit together, one that would keep more is closed after the
requests that were read from it: its client sends the others again, as after any close.
"""

import logging
import time

log = logging.getLogger("pyfork.error")

LIMIT = 16 << 20  # bytes of a worker
SMALL = 4 << 10  # bytes that a connection may always keep
REMIND = 60.0  # seconds between two warnings


class WaitingInput:
    """Counts it, over all connections of a worker."""

    def __init__(self) -> None:
        self.size = 0  # bytes
        self._warned = -REMIND

    def replace(self, old: bytes, new: bytes) -> bool:
        """A connection keeps ``new`` in place of ``old``. Returns whether there is room for it."""
        size = self.size + len(new) - len(old)
        if size > LIMIT and len(new) > max(SMALL, len(old)):
            self.size -= len(old)
            self._warn()
            return False
        self.size = size
        return True

    def _warn(self) -> None:
        now = time.monotonic()
        if now - self._warned >= REMIND:
            self._warned = now
            log.warning(
                "requests that wait for earlier ones on their connection take more than %d MiB: "
                "connections with more of them are closed",
                LIMIT >> 20,
            )
