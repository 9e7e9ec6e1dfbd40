"""Clients that wait for the end of a restart or a drain."""

from collections.abc import Iterable

from pyfork.arbiter.control.server import Client
from pyfork.arbiter.reporting.history import History
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.record import entity, field
from pyfork.supervisor.state import WorkerState
from pyfork.supervisor.supervisor import STOPPING, Supervisor


@entity
class _Waiter:
    """A client that waits until these workers have left the service."""

    client: Client
    workers: frozenset[int]  # serials
    slots: frozenset[int]
    entries: int  # of the history, when it began
    left: int = -1  # workers, as the client knows


@entity
class SlotWaiters:
    """All of them."""

    supervisor: Supervisor
    pool: WorkerPool
    history: History
    _waiting: list[_Waiter] = field(default_factory=list)

    def add(self, client: Client, pids: Iterable[int]) -> None:
        """``client`` waits for the workers with these process ids."""
        client.waits = True
        members = [member for pid in pids if (member := self.pool.with_pid(pid))]
        workers = frozenset(each.serial for each in members)
        slots = frozenset(each.slot for each in members)
        self._waiting.append(_Waiter(client, workers, slots, self.history.count))

    def tick(self) -> None:
        """Tell clients about the progress, and the end."""
        for waiter in self._waiting.copy():
            if waiter.client.gone or self._finish(waiter):
                self._waiting.remove(waiter)

    def _finish(self, waiter: _Waiter) -> bool:
        """Whether the client has got its last answer."""
        left = self._still_serving(waiter)
        failure = self._failure(waiter) if left else None
        if failure:
            waiter.client.finish({"ok": False, **failure})
        elif not left:
            waiter.client.finish({"ok": True, "workers": len(waiter.workers)})
        elif left != waiter.left:
            waiter.left = left
            done = len(waiter.workers) - left
            waiter.client.send({"progress": {"done": done, "of": len(waiter.workers)}})
        return failure is not None or not left

    def _still_serving(self, waiter: _Waiter) -> int:
        return sum(
            each.serial in waiter.workers and each.state is WorkerState.SERVING
            for each in self.supervisor.workers
        )

    def _failure(self, waiter: _Waiter) -> dict[str, str] | None:
        """Why a replacement did not boot. Another is tried, and the old worker serves on."""
        if self.supervisor.stop_requested:
            return {"error": STOPPING, "detail": ""}
        for entry in self.history.since(waiter.entries):
            died = entry["kind"] == "worker" and not (entry["ok"] or entry["served"])
            if died and entry["slot"] in waiter.slots:
                return {"error": entry["reason"], "detail": entry["detail"]}
        return None
