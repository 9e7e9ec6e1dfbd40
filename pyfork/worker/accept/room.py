"""Room for the next client of a worker that has reached its limit of connections or descriptors.

An idle connection is less important than a client with a request. The one that has been idle
longest is closed, never one with a request, unsent output or unread input. For a client that has
not sent anything the age of the connection counts.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Protocol

from pyfork.http.connection.connection import Connection
from pyfork.http.connection.engine import Engine
from pyfork.ipc.scoreboard import Row

if TYPE_CHECKING:
    from pyfork.http.tls.handshakes import Handshakes

log = logging.getLogger("pyfork.error")

LOG_INTERVAL = 60.0  # seconds between two log lines
SCAN_SECONDS = 0.25  # seconds between two scans of all connections, which may be thousands


class Closable(Protocol):
    """A connection that may be closed to make room."""

    @property
    def idle_since(self) -> float:
        """Monotonic seconds; infinity if it is not idle, or has only just become so."""

    def close_idle(self) -> bool:
        """Close it if it is idle. Returns whether it was."""


class ConnectionRoom:
    """Chooses the connections of one worker to close for others."""

    def __init__(
        self,
        engine: Engine[Connection],
        handshakes: "Handshakes | None",
        row: Row,
        clock: Callable[[], float],
    ) -> None:
        """``clock`` returns monotonic seconds."""
        self._engine = engine
        self._handshakes = handshakes
        self._row = row
        self._clock = clock
        # Idle since, longest first, as of the last scan.
        self._idle: deque[tuple[float, Closable]] = deque()
        self._scanned = -inf
        self._told = -inf
        self._closed = 0  # since the last scan

    def make(self, why: str) -> bool:
        """Close the connection that has been idle longest. ``why`` is for the log.

        Returns whether there was one. Its descriptor is closed in the next loop iteration.
        """
        now = self._clock()
        while True:
            while self._idle:
                since, one = self._idle.popleft()
                if one.idle_since == since and one.close_idle():
                    self._row.idle_closed += 1
                    self._closed += 1
                    self._log_closed(why, now)
                    return True
            if now - self._scanned < SCAN_SECONDS:
                self._log_closed(why, now)
                return False
            self._scanned = now
            self._idle.extend(sorted(self._at_rest(), key=lambda each: each[0]))

    def _at_rest(self) -> Iterable[tuple[float, Closable]]:
        """Return idle connections, by age if the sweep has not seen them yet.

        A new connection is none before the sweep sees it wait: its request may be on the way.
        """
        for connection in self._engine.connections:
            since = connection.idle_since
            if connection.can_hand_off and (connection.requests_seen or since < inf):
                yield since, connection
        if self._handshakes is not None:
            for transport in self._handshakes.open:
                if transport.silent:
                    yield transport.idle_since, transport

    def _log_closed(self, why: str, now: float) -> None:
        if now - self._told >= LOG_INTERVAL:
            self._told = now
            closed, self._closed = self._closed, 0
            some = "an idle connection" if closed == 1 else f"{closed} idle connections"
            how = f"closed {some} to make room" if closed else "none idles"
            log.warning("%s: %s", why, how)
