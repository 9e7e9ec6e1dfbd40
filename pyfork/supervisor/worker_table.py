"""The workers that have not exited. Each action is recorded in the table as it is returned.

Rules: as in `supervisor`.
"""

from collections.abc import Iterable, Iterator

from pyfork.supervisor.actions import Abort, Action, Kill, Retire, Spawn
from pyfork.supervisor.state import Generation, SavedWorker, WorkerRecord, WorkerState

DYING_LIMIT = 1.5  # seconds to write stacks, or to exit after a failure
UNKILLABLE_AFTER = 5.0  # seconds after SIGKILL: a process stuck in the kernel is given up


class WorkerTable:
    """Workers by serial number, from Spawn to Exited."""

    def __init__(self) -> None:
        self._workers: dict[int, WorkerRecord] = {}
        self._serial = 0  # the last one given

    def __iter__(self) -> Iterator[WorkerRecord]:
        """The workers, which may be removed meanwhile."""
        return iter(tuple(self._workers.values()))

    def __len__(self) -> int:
        return len(self._workers)

    def get(self, serial: int) -> WorkerRecord | None:
        """Return a worker, or None if it has exited."""
        return self._workers.get(serial)

    def remove(self, worker: WorkerRecord) -> None:
        """Remove a worker: it has exited, or cannot be killed."""
        del self._workers[worker.serial]

    def restore(self, workers: Iterable[SavedWorker], generation: Generation) -> None:
        """Add the workers of ``generation`` that were there before an exec."""
        for saved in workers:
            self._workers[saved.serial] = saved.to_record(generation)
            self._serial = max(self._serial, saved.serial)

    def active(self, generation: Generation) -> list[WorkerRecord]:
        """Return the workers of ``generation`` that serve or boot."""
        return [w for w in self._workers.values() if w.is_active and w.generation is generation]

    # Actions.

    def spawn(self, generation: Generation, slot: int, now: float) -> Action:
        """Add a worker that boots."""
        self._serial += 1
        if self._serial == 1:
            generation.others_after = now + generation.policy.head_start
        boot_timeout = generation.policy.boot_timeout
        self._workers[self._serial] = WorkerRecord(
            serial=self._serial,
            slot=slot,
            generation=generation,
            spawned_at=now,
            deadline=now + boot_timeout if boot_timeout else None,
        )
        return Spawn(self._serial, slot, generation.number)

    def retire(self, worker: WorkerRecord, grace: float, deadline: float) -> Action:
        """Let a worker drain for ``grace`` seconds."""
        worker.transition_to(WorkerState.RETIRING, deadline)
        return Retire(worker.serial, grace)

    def abort(self, worker: WorkerRecord, now: float, reason: str) -> Action:
        """Let a worker write its stacks and exit."""
        worker.transition_to(WorkerState.DYING, now + DYING_LIMIT)
        return Abort(worker.serial, reason)

    def kill(self, worker: WorkerRecord, now: float, reason: str) -> Action:
        """End a worker at once."""
        worker.transition_to(WorkerState.KILLED, now + UNKILLABLE_AFTER)
        return Kill(worker.serial, reason)
