"""The stacks of workers, for an operator.

Each worker is asked for its stacks. One that does not answer is blocked, or boots: a signal has
faulthandler write the stacks of its threads. Neither stops the worker.
"""

from collections.abc import Iterable
from time import monotonic
from typing import Any

from pyfork.arbiter.component import Component
from pyfork.arbiter.control.server import Client
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.clock import earliest
from pyfork.ipc.messages import ReportStacks
from pyfork.ipc.poller import Poller
from pyfork.ipc.stack_file import SIGNAL
from pyfork.record import entity, field

ANSWER_SECONDS = 0.5  # for a worker to answer
WRITE_SECONDS = 2.0  # for faulthandler to begin
SETTLE_SECONDS = 0.05  # after which a file that has not grown is complete


@entity
class _StackQuery:
    """One client's question to one worker."""

    client: Client
    worker: WorkerProcess
    due: float  # when it is looked at next, in monotonic seconds
    give_up: float = 0.0  # after the signal; 0: it was not sent
    size: int = 0  # of the file, as last seen


@entity
class StackQueries(Component):
    """All of them."""

    poller: Poller
    pool: WorkerPool
    _open: dict[int, _StackQuery] = field(default_factory=dict)  # by number
    _last: int = 0

    def add(self, client: Client, pids: Iterable[int]) -> None:
        """``client`` gets a line for each of these workers, and then its answer."""
        client.waits = True
        for pid in pids:
            if (worker := self.pool.with_pid(pid)) is not None:
                self._last += 1
                due = monotonic() + ANSWER_SECONDS
                self._open[self._last] = _StackQuery(client, worker, due)
                self.poller.send(worker.channel, ReportStacks(self._last))
        self._finish(client)

    def answer(self, number: int, report: dict[str, Any]) -> None:
        """A worker has answered, perhaps too late."""
        if number in self._open:
            self._close(number, report)

    @property
    def deadline(self) -> float | None:
        return earliest(*(query.due for query in self._open.values()))

    def tick(self, now: float) -> None:
        """Send the signal to workers that have not answered, and read what they write."""
        for number, query in [*self._open.items()]:
            if query.client.gone:
                del self._open[number]
            elif query.due <= now:
                self._go_on(number, query, now)

    def _go_on(self, number: int, query: _StackQuery, now: float) -> None:
        worker = query.worker
        file = worker.stacks
        if self.pool.get(worker.serial) is not worker or file is None:
            self._close(number, {"error": "it has ended" if file else "an older release began it"})
        elif not query.give_up:
            file.clear()
            worker.signal(SIGNAL)
            query.give_up, query.due = now + WRITE_SECONDS, now + SETTLE_SECONDS
        elif (size := file.size) and size == query.size:
            self._close(number, {"text": file.read()})
        elif now >= query.give_up:
            self._close(number, {"error": "no answer to a signal: it is stopped, or exits"})
        else:
            query.size, query.due = size, now + SETTLE_SECONDS

    def _close(self, number: int, report: dict[str, Any]) -> None:
        query = self._open.pop(number)
        worker, row = query.worker, query.worker.row
        facts = {
            "slot": worker.slot,
            "pid": worker.pid,
            "generation": worker.generation,
            "blocked": "text" in report,
            "doing": row.activity if row.in_flight else "",
            "busy": monotonic() - row.busy_since if row.in_flight and row.busy_since else 0.0,
        }
        query.client.send({"worker": facts | report})
        self._finish(query.client)

    def _finish(self, client: Client) -> None:
        if not any(query.client is client for query in self._open.values()):
            client.finish({"ok": True})
