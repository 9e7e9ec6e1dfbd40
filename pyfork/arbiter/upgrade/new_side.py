"""One upgrade, from the side of the arbiter that follows.

Its first workers boot on the listeners that the running server gave it, and hold. When all are
ready it says so; when it hears that the other one yields, or that one is gone, it is in charge, and
takes the idle connections that the other one offers while it drains.
"""

import logging
import time
from collections.abc import Callable, Sequence

from pyfork.arbiter.context import ArbiterContext
from pyfork.arbiter.upgrade.saved_state import OldArbiter
from pyfork.ipc.messages import (
    Failed,
    HandoffOffer,
    HandoverGranted,
    Message,
    NewArbiterReady,
    NewArbiterStopping,
    UpgradeRejected,
)
from pyfork.supervisor.events import Alone, CommandReceived, OperatorCommand

log = logging.getLogger("pyfork.error")


class Takeover:
    """How this arbiter comes into its own.

    Args:
        predecessor: None: there is nobody to come after, and this one is in charge from the start.
        take_charge: called once, when it is in charge after another.
    """

    def __init__(
        self,
        house: ArbiterContext,
        predecessor: OldArbiter | None,
        *,
        take_charge: Callable[[], None],
    ) -> None:
        self._house = house
        self._predecessor = predecessor  # None also when it has gone
        self._take_charge = take_charge
        self._ready = False  # all workers are
        self._stop_sent = False  # the other one knows that this one leaves
        self.active = predecessor is None  # this arbiter is in charge
        self.rejection = ""  # why it never will be
        if predecessor:
            house.wires.connect(predecessor.channel, self._on_message, self._closed)

    @property
    def finished(self) -> bool:
        """Whether this arbiter is in charge and the one before it has left."""
        return self.active and self._predecessor is None

    def close_in_child(self) -> None:
        """Close what a forked child has of it."""
        if self._predecessor:
            self._predecessor.channel.close()

    def report_ready(self) -> None:
        """All workers are ready."""
        if self._ready:
            return
        self._ready = True
        if self._predecessor:
            self._house.wires.send(self._predecessor.channel, NewArbiterReady())
        else:
            self._complete()

    def tick(self) -> None:
        """Once a turn: who comes after all that is not to carry on when we are told to stop."""
        stopping = self.active and self._house.supervisor.stop_requested
        if stopping and self._predecessor and not self._stop_sent:
            self._stop_sent = True
            self._house.wires.send(self._predecessor.channel, NewArbiterStopping())

    def fail(self, reason: str, detail: str) -> None:
        """This arbiter is at its end: if it never was in charge, tell why."""
        if not self.active and self._predecessor:
            reason = reason or "it was told to stop"
            self._house.wires.send(self._predecessor.channel, Failed(reason, detail))

    def _complete(self) -> None:
        self.active = True
        log.info("upgrade: this arbiter is in charge")
        self._take_charge()

    def _on_message(self, message: Message, fds: Sequence[int]) -> None:
        match message:
            case HandoverGranted() if self._ready and not self.active:
                self._complete()
            case HandoffOffer(connection=connection):
                assert self._predecessor
                house = self._house
                house.handoffs.offer(self._predecessor, connection, fds, house.crew)
            case UpgradeRejected(reason=reason) if not self.active:
                self.rejection = f"the running server serves on: {reason}"
                self._house.supervisor.feed(
                    CommandReceived(OperatorCommand.QUICK_STOP), time.monotonic()
                )
            case _:
                log.error("the arbiter before this one sent what is not its to say: %s", message)

    def _closed(self, why: str) -> None:
        assert self._predecessor
        self._house.handoffs.drop_worker(self._predecessor)
        self._predecessor.channel.close()
        self._predecessor = None
        if self.active:
            log.info("upgrade: the arbiter before this one has left")
        elif not self.rejection:
            log.warning("the arbiter before this one is gone: this one goes on")
            self._house.supervisor.feed(Alone(), time.monotonic())
            if self._ready:
                self._complete()
