"""A wait for a client that takes output, or that answers a close frame."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection

STEPS = 20  # checks in the time that a client has to take output


class OutputProgress:
    """The output of one connection that its client has not taken, and a wait for it."""

    def __init__(self, link: "Connection") -> None:
        self._link = link
        self._loop = link.engine.loop
        self._timer: asyncio.TimerHandle | None = None

    def untaken(self) -> int:
        """Return the bytes written that the client's system has not taken."""
        return self._link.unsent + self._link.unacknowledged()

    def wait(self, then: Callable[[], None], seconds: float) -> None:
        """Call ``then`` after ``seconds`` in which the client takes none of the output.

        It replaces an earlier wait.
        """
        self.cancel()
        self._schedule(then, seconds, self._loop.time() + seconds)

    def cancel(self) -> None:
        """End the wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, then: Callable[[], None], seconds: float, deadline: float) -> None:
        # In short steps: what was sent just now is acknowledged a moment later, and must not
        # count as progress at the end of the whole time.
        self._timer = self._loop.call_later(
            seconds / STEPS, self._check, then, seconds, deadline, self.untaken()
        )

    def _check(
        self, then: Callable[[], None], seconds: float, deadline: float, before: int
    ) -> None:
        now = self._loop.time()
        if self.untaken() < before:
            deadline = now + seconds
        if now < deadline:
            self._schedule(then, seconds, deadline)
        else:
            then()
