"""Many visitors at once, each a thread with real clients, and all that went wrong for them."""

import http.client
import itertools
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from types import TracebackType

from websockets.exceptions import ConnectionClosed

from tests.end_to_end.realworld.visit import Restarted, Seen, Visit, Visitor, difference
from tests.harness.server import PATIENCE
from tests.harness.threads import ThreadsOfBlock

CLIENTS = 50
_VISIT = 60.0  # seconds for one visit of each, where one thread a worker serves them
_SERVICE_RESTART = 1012  # RFC 6455 7.4.2, IANA: what a WebSocket is told at a reload


class Load(ThreadsOfBlock):
    """Visits by ``clients`` threads until the block is left; each must see what is expected.

    Every other client keeps its connections. What a client may see besides: a WebSocket that is
    closed because the service restarts, after `reloading` was called; after `stopping`, a refused
    connection, and the end of a kept one before any byte of an answer.

    Args:
        keeps: the visit's own client keeps connections, whatever the visitor does.
    """

    def __init__(
        self,
        url: str,
        visit: Visit,
        expected: list[Seen],
        *,
        clients: int = CLIENTS,
        keeps: bool = False,
    ) -> None:
        super().__init__()
        self._url = url
        self._visit = visit
        self._expected = expected
        self._keeps = keeps
        self._prefix = f"visitor-{uuid.uuid4().hex[:8]}"
        self._names = itertools.count()
        self._stopping = self._reloading = False
        self.threads = [
            threading.Thread(target=self._live, args=(number,)) for number in range(clients)
        ]
        self.visits: Counter[int] = Counter()  # that were as expected, by client
        self.incidents: list[str] = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        total, fewest = self.visits.total(), self._fewest()
        print(f"{total} visits, {fewest} at least by each of {len(self.threads)} clients")

    def wait_visits(self, count: int) -> None:
        """Wait until every client has made ``count`` more visits."""
        goal = self._fewest() + count
        deadline = time.monotonic() + count * _VISIT
        while self._fewest() < goal:
            assert not self.incidents, self.report
            assert time.monotonic() < deadline, f"the load does not go on: {self.visits}"
            time.sleep(0.02)

    def reloading(self) -> None:
        """From now on WebSockets may be told that the service restarts."""
        self._reloading = True

    def stopping(self) -> None:
        """From now on a client that finds nobody is done."""
        self._reloading = self._stopping = True

    def wait_refused(self) -> None:
        """Wait until every client has found that nobody serves any more."""
        for thread in self.threads:
            thread.join(2 * PATIENCE)
            assert not thread.is_alive(), "a client still waits"

    @property
    def report(self) -> str:
        """What went wrong, for people."""
        return "\n".join(self.incidents[:10])

    def _fewest(self) -> int:
        return min(self.visits[number] for number in range(len(self.threads)))

    def _live(self, number: int) -> None:
        pause = random.Random(number)
        kept = number % 2 == 1
        with Visitor(self._url, "", kept=kept) as visitor:
            while not self.over.is_set():
                # A visit that was ended in its middle leaves things behind, under another name.
                visitor.name = f"{self._prefix}-{number}-{next(self._names)}"
                seen: list[Seen] = []
                try:
                    seen.extend(self._visit(visitor))
                except Exception as error:  # noqa: BLE001 - whatever a client library raises
                    step = seen[-1].step if seen else "nothing"
                    where = f"client {number}, after {step}"
                    self._failed(error, where, kept=kept or self._keeps)
                    if self._stopping:
                        return
                else:
                    self._made(number, difference(self._expected, seen))
                self.over.wait(pause.random() * 0.1)

    def _failed(self, error: Exception, where: str, *, kept: bool) -> None:
        """Tell what no reload and no stop excuses."""
        if self._stopping and (refused(error) or (kept and closed(error))):
            return
        if not (self._reloading and restarts(error)):
            chain = " from ".join(repr(each) for each in causes(error))
            self.incidents.append(f"{where}{', at the stop' if self._stopping else ''}: {chain}")

    def _made(self, number: int, wrong: str) -> None:
        if wrong:
            self.incidents.append(f"client {number}, {wrong}")
        else:
            self.visits[number] += 1


def refused(error: BaseException) -> bool:
    """Whether it was caused by a connection that nobody accepted."""
    return any(isinstance(each, ConnectionRefusedError) for each in causes(error))


def closed(error: BaseException) -> bool:
    """Whether it was caused by the end of a connection before any byte of an answer."""
    ends = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
    nothing = ("Server disconnected without sending a response.", "stream ends after 0 bytes")
    return any(isinstance(each, ends) or str(each).startswith(nothing) for each in causes(error))


def restarts(error: BaseException) -> bool:
    """Whether a WebSocket was told that the service restarts."""
    return any(
        isinstance(each, Restarted)
        or (
            isinstance(each, ConnectionClosed)
            and each.rcvd is not None
            and each.rcvd.code == _SERVICE_RESTART
        )
        for each in causes(error)
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that it was raised from."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from causes(each)
        error = error.__cause__ or error.__context__
