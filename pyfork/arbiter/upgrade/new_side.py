"""The upgrade, from the side of the new arbiter.

Its first workers boot on the listeners of the old arbiter, and do not accept yet. When all are
ready, it reports that. It becomes active when the old arbiter grants the handover, or is gone. Then
it takes the idle connections that the draining old arbiter offers.
"""

import logging
import time
from collections.abc import Sequence

from pyfork.arbiter.component import Component
from pyfork.arbiter.listeners.handoff import HandoffBroker
from pyfork.arbiter.upgrade.saved_state import OldArbiter
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.ipc.messages import (
    Failed,
    HandoffOffer,
    HandoverGranted,
    Message,
    NewArbiterReady,
    NewArbiterStopping,
    UpgradeRejected,
)
from pyfork.ipc.poller import Poller
from pyfork.supervisor.events import Alone, CommandReceived, OperatorCommand
from pyfork.supervisor.supervisor import Supervisor

log = logging.getLogger("pyfork.error")


class Takeover(Component):
    """This arbiter's way from its first worker to the one that serves.

    Args:
        old: the arbiter that serves until this one does; None: this one is active from the start.
    """

    def __init__(
        self,
        poller: Poller,
        supervisor: Supervisor,
        handoffs: HandoffBroker,
        pool: WorkerPool,
        old: OldArbiter | None,
    ) -> None:
        self._poller = poller
        self._supervisor = supervisor
        self._handoffs = handoffs
        self._pool = pool
        self._old = old  # None also when it has gone
        self._ready = False  # all workers are
        self._stop_sent = False  # the old arbiter knows that this one stops
        self._activated = False  # `just_activated` has not reported it yet
        self.active = old is None  # this arbiter serves
        self.rejection = ""  # why it never will
        if old:
            poller.connect(old.channel, self._on_message, self._on_closed)

    @property
    def finished(self) -> bool:
        """Whether this arbiter is active and the old one has exited."""
        return self.active and self._old is None

    def close_in_child(self) -> None:
        """Close the channel to the old arbiter."""
        if self._old:
            self._old.channel.close()

    def just_activated(self) -> bool:
        """Whether this arbiter has become active since the last call."""
        activated, self._activated = self._activated, False
        return activated

    def report_ready(self) -> None:
        """All workers are ready: tell the old arbiter, or become active without it."""
        if self._ready:
            return
        self._ready = True
        if self._old:
            self._poller.send(self._old.channel, NewArbiterReady())
        else:
            self._complete()

    def tick(self, now: float) -> None:
        """If this arbiter is told to stop, tell the old one not to resume serving."""
        stopping = self.active and self._supervisor.stop_requested
        if stopping and self._old and not self._stop_sent:
            self._stop_sent = True
            self._poller.send(self._old.channel, NewArbiterStopping())

    def fail(self, reason: str, detail: str) -> None:
        """This arbiter exits: if it never was active, tell the old one why."""
        if not self.active and self._old:
            reason = reason or "it was told to stop"
            self._poller.send(self._old.channel, Failed(reason, detail))

    def _complete(self) -> None:
        self.active = self._activated = True
        log.info("upgrade: this arbiter is active")

    def _on_message(self, message: Message, fds: Sequence[int]) -> None:
        match message:
            case HandoverGranted() if self._ready and not self.active:
                self._complete()
            case HandoffOffer(connection=connection):
                assert self._old
                self._handoffs.offer(self._old, connection, fds, self._pool)
            case UpgradeRejected(reason=reason) if not self.active:
                self.rejection = f"the running server keeps serving: {reason}"
                self._supervisor.feed(CommandReceived(OperatorCommand.QUICK_STOP), time.monotonic())
            case _:
                log.error("unexpected message from the old arbiter: %s", message)

    def _on_closed(self, why: str) -> None:
        assert self._old
        self._handoffs.drop_worker(self._old)
        self._old.channel.close()
        self._old = None
        if self.active:
            log.info("upgrade: the old arbiter has exited")
        elif not self.rejection:
            log.warning("the old arbiter is gone: this one continues without it")
            self._supervisor.feed(Alone(), time.monotonic())
            if self._ready:
                self._complete()
