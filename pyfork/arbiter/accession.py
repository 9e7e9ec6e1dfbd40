"""One upgrade, from the side of the arbiter that follows.

Its first workers boot on the listeners that the running server gave it. When all are ready it is
in charge: it says so, and takes the idle connections that the other one offers while it drains.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from pyfork.arbiter.facts import Asked, Wish
from pyfork.arbiter.handoffs import Handoffs, Taker
from pyfork.arbiter.heritage import Predecessor
from pyfork.arbiter.supervisor import Supervisor
from pyfork.arbiter.wires import Wires
from pyfork.ipc.messages import Dismissed, Message, Offered, Succeeded

log = logging.getLogger("pyfork.error")


class Accession:
    """How this arbiter comes into its own."""

    def __init__(
        self,
        predecessor: Predecessor,
        *,
        supervisor: Supervisor,
        wires: Wires,
        handoffs: Handoffs,
        takers: Callable[[], Iterable[Taker]],
    ) -> None:
        self._predecessor = predecessor
        self._supervisor = supervisor
        self._wires = wires
        self._handoffs = handoffs
        self._takers = takers
        self.complete = False  # this arbiter is in charge
        self.dismissed = ""  # why it never will be
        wires.connect(predecessor.channel, self._heard, self._closed)

    def disown(self) -> None:
        """Close what a forked child has of it."""
        self._predecessor.channel.close()

    def succeed(self) -> None:
        """All workers are ready."""
        self.complete = True
        if self._wires.is_connected(self._predecessor.channel):
            log.info("upgrade: this arbiter is in charge")
            self._wires.send(self._predecessor.channel, Succeeded())

    def _heard(self, message: Message, fds: Sequence[int]) -> None:
        match message:
            case Offered(connection=connection):
                self._handoffs.offer(self._predecessor, connection, fds, self._takers())
            case Dismissed(reason=reason) if not self.complete:
                self.dismissed = reason
                self._supervisor.feed(Asked(Wish.QUIT), time.monotonic())
            case _:
                log.error("the arbiter before this one sent what is not its to say: %s", message)

    def _closed(self, why: str) -> None:
        self._handoffs.forget(self._predecessor)
        self._predecessor.channel.close()
        if self.complete:
            log.info("upgrade: the arbiter before this one has left")
        elif not self.dismissed:
            log.warning("the arbiter before this one is gone: this one goes on")
