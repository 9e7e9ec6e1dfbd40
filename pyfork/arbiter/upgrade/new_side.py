"""One upgrade, from the side of the arbiter that follows.

Its first workers boot on the listeners that the running server gave it, and hold. When all are
ready it says so; when it hears that the other one yields, or that one is gone, it is in charge, and
takes the idle connections that the other one offers while it drains.
"""

import logging
import time
from collections.abc import Callable, Sequence

from pyfork.arbiter.context import House
from pyfork.arbiter.upgrade.saved_state import Predecessor
from pyfork.ipc.messages import (
    Dismissed,
    Failed,
    Granted,
    Leaving,
    Message,
    Offered,
    Succeeded,
)
from pyfork.supervisor.events import Alone, Asked, Wish

log = logging.getLogger("pyfork.error")


class Accession:
    """How this arbiter comes into its own.

    Args:
        predecessor: None: there is nobody to come after, and this one is in charge from the start.
        take_charge: called once, when it is in charge after another.
    """

    def __init__(
        self, house: House, predecessor: Predecessor | None, *, take_charge: Callable[[], None]
    ) -> None:
        self._house = house
        self._predecessor = predecessor  # None also when it has gone
        self._take_charge = take_charge
        self._ready = False  # all workers are
        self._told = False  # the other one knows that this one leaves
        self.complete = predecessor is None  # this arbiter is in charge
        self.dismissed = ""  # why it never will be
        if predecessor:
            house.wires.connect(predecessor.channel, self._heard, self._closed)

    @property
    def over(self) -> bool:
        """Whether this arbiter is in charge and the one before it has left."""
        return self.complete and self._predecessor is None

    def disown(self) -> None:
        """Close what a forked child has of it."""
        if self._predecessor:
            self._predecessor.channel.close()

    def succeed(self) -> None:
        """All workers are ready."""
        if self._ready:
            return
        self._ready = True
        if self._predecessor:
            self._house.wires.send(self._predecessor.channel, Succeeded())
        else:
            self._complete()

    def act(self) -> None:
        """Once a turn: who comes after all that is not to carry on when we are told to stop."""
        stopping = self.complete and self._house.supervisor.stopping
        if stopping and self._predecessor and not self._told:
            self._told = True
            self._house.wires.send(self._predecessor.channel, Leaving())

    def fail(self, reason: str, detail: str) -> None:
        """This arbiter is at its end: if it never was in charge, tell why."""
        if not self.complete and self._predecessor:
            reason = reason or "it was told to stop"
            self._house.wires.send(self._predecessor.channel, Failed(reason, detail))

    def _complete(self) -> None:
        self.complete = True
        log.info("upgrade: this arbiter is in charge")
        self._take_charge()

    def _heard(self, message: Message, fds: Sequence[int]) -> None:
        match message:
            case Granted() if self._ready and not self.complete:
                self._complete()
            case Offered(connection=connection):
                assert self._predecessor
                house = self._house
                house.handoffs.offer(self._predecessor, connection, fds, house.crew)
            case Dismissed(reason=reason) if not self.complete:
                self.dismissed = f"the running server serves on: {reason}"
                self._house.supervisor.feed(Asked(Wish.QUIT), time.monotonic())
            case _:
                log.error("the arbiter before this one sent what is not its to say: %s", message)

    def _closed(self, why: str) -> None:
        assert self._predecessor
        self._house.handoffs.forget(self._predecessor)
        self._predecessor.channel.close()
        self._predecessor = None
        if self.complete:
            log.info("upgrade: the arbiter before this one has left")
        elif not self.dismissed:
            log.warning("the arbiter before this one is gone: this one goes on")
            self._house.supervisor.feed(Alone(), time.monotonic())
            if self._ready:
                self._complete()
