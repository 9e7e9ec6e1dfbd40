"""Pings to a WebSocket's client, and the detection of a missing answer (RFC 6455 5.5.2)."""

import asyncio
from math import inf
from typing import Protocol


class Pinged(Protocol):
    """The connection of a keepalive."""

    def can_answer(self) -> bool:
        """Whether the client should have answered by now."""

    def send_ping(self) -> None:
        """Send a ping."""

    def keepalive_failed(self) -> None:
        """End the connection."""


class Keepalive:
    """The pings of one connection. It has one timer; received bytes only set a number."""

    __slots__ = ("_connection", "_interval", "_loop", "_next", "_since", "_timeout", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Pinged,
        *,
        interval: float | None,
        timeout: float | None,
    ) -> None:
        """``interval`` is in seconds, None for no pings; ``timeout`` is in seconds, None for
        no limit."""
        self._loop = loop
        self._connection = connection
        self._interval = interval
        self._timeout = timeout or inf
        self._next = 0.0  # of the next ping, in the loop's seconds
        self._since = inf  # of the first ping without an answer
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """The connection is open."""
        if self._interval:
            self._next = self._loop.time() + self._interval
            self._timer = self._loop.call_at(self._next, self._tick)

    def stop(self) -> None:
        """The connection closes."""
        self._interval = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_bytes(self) -> None:
        """Note received bytes: a client in the middle of a long message is alive, too."""
        self._since = inf

    def _tick(self) -> None:
        if not self._interval:
            return
        now = self._loop.time()
        if self._since < now and not self._connection.can_answer():
            self._since = now
        if now >= self._since + self._timeout:
            self._connection.keepalive_failed()
            return
        if now >= self._next:
            self._next = now + self._interval
            self._since = min(self._since, now)
            self._connection.send_ping()
        self._timer = self._loop.call_at(min(self._next, self._since + self._timeout), self._tick)
