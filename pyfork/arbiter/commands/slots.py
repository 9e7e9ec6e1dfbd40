"""Commands about single workers: restart, drain and resume.

An operator names a slot, since the processes of a slot come and go.
"""

import logging
import time
from typing import Any

from pyfork.arbiter.workers.messages import WorkerMessages
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.errors import PyforkError
from pyfork.record import entity
from pyfork.supervisor.events import CommandReceived, DrainSlot, ResumeSlot
from pyfork.supervisor.supervisor import STOPPING, Supervisor

log = logging.getLogger("pyfork.error")

ASKED = "an operator asked for it"


@entity
class SlotCommands:
    """Runs them. Each answer names the processes that will leave."""

    supervisor: Supervisor
    pool: WorkerPool
    worker_messages: WorkerMessages

    def restart(self, caller: str, *, worker: int | None = None) -> dict[str, Any]:
        """Replace all workers, or the one of a slot; each serves until its replacement does."""
        self._refuse_in_stop()
        if worker is not None:
            self._find(worker)
        members = [each for each in self._serving() if worker in (None, each.slot)]
        if not members:
            raise PyforkError("no worker serves there: one boots, or the slot is drained")
        log.info("%s: restart of %d worker%s", caller, len(members), "s"[: len(members) > 1])
        for member in members:
            self.worker_messages.recycle(member, ASKED)
        return _named(members)

    def drain(self, caller: str, *, worker: int | None = None) -> dict[str, Any]:
        """Take a slot out of service until it is resumed."""
        self._refuse_in_stop()
        if worker is None:
            raise PyforkError("drain needs the slot of a worker")
        self._find(worker)
        serving = self._serving()
        if all(each.slot == worker for each in serving) or self.supervisor.wanted_slots == [worker]:
            raise PyforkError(f"no other worker serves: without slot {worker} the port is lost")
        log.info("%s: drain of slot %d", caller, worker)
        self.supervisor.feed(CommandReceived(DrainSlot(worker)), time.monotonic())
        return _named([each for each in serving if each.slot == worker])

    def resume(self, caller: str, *, worker: int | None = None) -> dict[str, Any]:
        """Have the drained slots, or one of them, served again."""
        slots = sorted(self.supervisor.drained)
        if worker is not None:
            if worker not in slots:
                raise PyforkError(f"slot {worker} is not drained")
            slots = [worker]
        if not slots:
            raise PyforkError("no slot is drained")
        log.info("%s: resume of slot %s", caller, ", ".join(map(str, slots)))
        for slot in slots:
            self.supervisor.feed(CommandReceived(ResumeSlot(slot)), time.monotonic())
        return {"slots": slots}

    def _serving(self) -> list[WorkerProcess]:
        serving = self.supervisor.serving.number
        return [each for each in self.pool if each.is_serving and each.generation == serving]

    def _find(self, slot: int) -> None:
        size = self.supervisor.serving.size
        if not 0 <= slot < size:
            raise PyforkError(f"there is no slot {slot}: this server has 0 to {size - 1}")

    def _refuse_in_stop(self) -> None:
        if self.supervisor.stop_requested:
            raise PyforkError(STOPPING)


def _named(members: list[WorkerProcess]) -> dict[str, Any]:
    return {"workers": len(members), "pids": [each.pid for each in members]}
