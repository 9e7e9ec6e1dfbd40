"""Accepting: one connection per loop iteration, and only while there is room.

A worker that empties the kernel's queue at once takes connections that other workers could serve
now. So it accepts one at a time; a worker without others accepts some more. `LeastConnections` may
leave even that one to another worker.

Under saturation a new connection competes with kept ones, whose requests never end. If all threads
are busy, one connection may be accepted for each request that ends (a credit); its request is
queued. If the application runs in the loop's thread, an iteration runs one request of each
connection, and as many connections may be accepted.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import cast

from pyfork.dispatch.least import DEFER_SECONDS, LeastConnections
from pyfork.ipc.fd_queue import FdQueueReader
from pyfork.ipc.scoreboard import ACCEPTED, ACCEPTING, REQUESTS, Accepting, Row
from pyfork.net.accepted import Client, ClientSocket, ListenSocket, RawClient

log = logging.getLogger("pyfork.error")

# The client, or its network, is gone (accept(2)); the next client may be there.
_CLIENT_GONE = frozenset(
    (
        *(errno.EPROTO, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EPERM, errno.ETIMEDOUT),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    )
)
# A limit on descriptors is reached; closing a connection frees one.
_NO_DESCRIPTOR = frozenset((errno.EMFILE, errno.ENFILE))

_ACCEPT_BACKOFF = 1.0  # seconds without accepting, when there is nothing to be done
_FULL_RETRY = 0.05  # seconds until another client may have disconnected

_FULL = "as many connections as --worker-connections allows"

ACCEPT_BATCH = 16  # connections accepted per iteration, at most


class Acceptor:
    """Accepts on shared listeners and makes a protocol for each connection."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listeners: Iterable[socket.socket | FdQueueReader],
        new_protocol: Callable[[Client], asyncio.BaseProtocol],
        *,
        row: Row,
        count: Callable[[int], None],
        gate: LeastConnections | None = None,
        alone: bool = False,
        is_full: Callable[[], bool] = lambda: False,
        make_room: Callable[[str], bool] = lambda why: False,
    ) -> None:
        """``line`` is the scoreboard row of this worker.

        ``new_protocol`` is called with the client. ``count`` is called with 1 for each connection
        at accept, since other workers compare these numbers, and with -1 for one whose setup
        fails. ``alone``: there is no other worker. ``is_full`` returns whether there is no room
        for another connection; ``make_room`` closes an idle one, if it can.
        """
        self._loop = loop
        # A loop that is written in Python reads and writes by a socket's methods.
        python = isinstance(loop, asyncio.BaseEventLoop)
        self._kind = ClientSocket if python else RawClient
        self._listeners = [
            each if isinstance(each, FdQueueReader) else ListenSocket(each, self._kind)
            for each in listeners
        ]
        self._added: dict[Hashable, ListenSocket] = {}  # added later, by name
        self._new_protocol = new_protocol
        self._cells = row.cells
        self._count = count
        self._gate = gate
        self._alone = alone
        self.inline = True  # application code runs in the loop's thread
        self._answered = 0  # requests of this worker at the last check
        self._is_full = is_full
        self._make_room = make_room
        self._left_to_others = False  # a client for which there was no room
        self._reasons: set[str] = {"not started"}  # why nothing is accepted
        self._saturated = False  # a new request would have to wait
        self._credit = 0  # connections that may be accepted nevertheless
        self._most_credit = 0
        self._no_room = False  # the limit is reached, and no connection is idle
        self._is_deferring = False  # deferring: others have fewer connections
        self._watching = False  # the loop watches the listeners
        # Accepted connections whose transport is made later: protocol and descriptor.
        self.opening: dict[asyncio.BaseProtocol, int] = {}
        self._finished: Callable[[], None] | None = None  # called when the queues are empty
        self._remaining: dict[
            ListenSocket | FdQueueReader, float
        ] = {}  # connections still to be accepted before the end, per listener

    def start(self) -> None:
        """Begin to accept."""
        self.resume("not started")

    def finish(self, stopped: Callable[[], None]) -> None:
        """Accept until the kernel's queues are empty, then stop, and call ``stopped``.

        If more clients can arrive, only those queued now are accepted: others would keep it open.
        An acceptor that never started stops at once, since the queues are for other workers.
        """
        if "not started" in self._reasons:
            self.stop()
            stopped()
            return
        self._finished = stopped
        self._gate = None
        self._update()
        self._loop.call_soon(self._empty_queues)

    def add_listeners(self, name: Hashable, listener: socket.socket) -> None:
        """Accept on this listener too, unless it is known or the acceptor has stopped."""
        if name in self._added or self.stopped:
            listener.close()
            return
        self._watch(False)
        minded = self._added[name] = ListenSocket(listener, self._kind)
        self._listeners.append(minded)
        self._update()

    def remove_listeners(self, name: Hashable) -> None:
        """Stop accepting on a listener."""
        if name in self._added and not self.stopped:
            self._watch(False)
            minded = self._added.pop(name)
            self._listeners.remove(minded)
            minded.close()
            self._update()

    def stop(self) -> None:
        """Accept no more, for good, and give the listeners back.

        Connections on an fd queue are this worker's, and are taken.
        """
        if self.stopped:
            return
        self.pause("stopped")
        for source in self._listeners:
            while isinstance(source, FdQueueReader) and self._accept(source):
                pass
        for listener in self._listeners:
            listener.close()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return "stopped" in self._reasons

    def pause(self, reason: str) -> None:
        """Stop accepting until `resume` is called with the same reason."""
        self._reasons.add(reason)
        self._update()

    def resume(self, reason: str) -> None:
        """Remove ``reason``; accept again if it was the last."""
        if reason not in self._reasons:
            return
        self._reasons.discard(reason)
        if not self._reasons:
            self._go_on()

    def saturate(self, most: int) -> None:
        """Accept only with a credit (`add_credit`), ``most`` connections at once."""
        self._saturated = True
        self._credit, self._most_credit = 0, most
        self._update()

    def add_credit(self) -> None:
        """Add a credit: while saturated, a request has ended and a queued one has begun."""
        if self._credit < self._most_credit:
            self._credit += 1
            if self._credit == 1:
                self._go_on()

    def desaturate(self) -> None:
        """Accept freely: a new request would begin at once."""
        self._saturated = False
        self._go_on()

    @property
    def _holds_back(self) -> bool:
        """Whether nothing is accepted now."""
        return bool(self._reasons) or (self._saturated and self._credit <= 0)

    def _go_on(self) -> None:
        self._update()
        if self._finished is not None:
            self._loop.call_soon(self._empty_queues)

    def _update(self) -> None:
        """Publish whether this worker accepts, and watch the listeners accordingly."""
        if self._holds_back or self._no_room:
            self._cells[ACCEPTING] = Accepting.NO
        else:
            self._cells[ACCEPTING] = Accepting.ON_CREDIT if self._saturated else Accepting.FREELY
        self._watch(not self._holds_back and not self._is_deferring and self._finished is None)

    def _watch(self, watching: bool, /) -> None:
        if watching == self._watching:
            return
        self._watching = watching
        for listener in self._listeners:
            if watching:
                self._loop.add_reader(listener.fileno(), self._readable, listener)
            else:
                self._loop.remove_reader(listener.fileno())

    def _readable(self, listener: ListenSocket | FdQueueReader) -> None:
        """Accept, or defer to workers with fewer connections."""
        if self._holds_back:  # changed in this iteration
            return
        if self._is_full():
            self._full()
            return
        gate, ran = self._gate, self._ran()
        share = ACCEPT_BATCH if self._alone or self._saturated else max(1, ran)
        for _ in range(share):
            if self._holds_back or self._is_full():
                break
            if gate is not None and gate.should_defer(saturated=self._saturated, more=ran):
                if not ran:  # else the next iteration comes soon enough
                    self._defer(DEFER_SECONDS)
                break
            if not self._accept(listener):
                break

    def _ran(self) -> int:
        """Return how many requests ran since the last check, ACCEPT_BATCH at most.

        0 if they run in threads, or if another worker is free.
        """
        answered = self._cells[REQUESTS]
        since, self._answered = answered - self._answered, answered
        if since < 2 or not self.inline:
            return 0
        if self._gate is not None and self._gate.others_are_free():
            return 0
        return min(since, ACCEPT_BATCH)

    def _full(self) -> None:
        """Handle a client without room: another worker has some, or an idle connection is
        closed."""
        if not (self._alone or self._left_to_others):
            self._left_to_others = True
            self._defer(DEFER_SECONDS)
        elif self._make_room(_FULL):
            self._defer(0.0)
        else:
            self._no_room = True
            self._defer(_FULL_RETRY)

    def _defer(self, seconds: float) -> None:
        """Leave the client to others for ``seconds``."""
        if not self._is_deferring:
            self._is_deferring = True
            self._update()
            self._loop.call_later(seconds, self._recheck, self._loop.time() + seconds)

    def _recheck(self, due: float) -> None:
        """Accept again; clients that no worker took make a listener readable."""
        if self._gate is not None:
            self._gate.deferred(self._loop.time() - due)
        self._is_deferring = self._no_room = False
        self._update()

    def _empty_queues(self) -> None:
        """Accept one from each queue per iteration; connections are served in between."""
        if self._holds_back or self._finished is None:
            return
        if self._is_full():
            wait = 0.0 if self._make_room(_FULL) else _FULL_RETRY
            self._loop.call_later(wait, self._empty_queues)
            return
        accepted = [not self._holds_back and self._accept_owed(each) for each in self._listeners]
        if any(accepted):
            self._loop.call_soon(self._empty_queues)
        elif not self._reasons:
            self.stop()
            self._finished()

    def _accept_owed(self, listener: ListenSocket | FdQueueReader) -> bool:
        """Accept one of the clients that were queued at first. Returns whether there was one."""
        if listener not in self._remaining:
            self._remaining[listener] = listener.backlog()
        if self._remaining[listener] <= 0 or not self._accept(listener):
            return False
        self._remaining[listener] -= 1
        return True

    def _accept(self, listener: ListenSocket | FdQueueReader) -> bool:
        """Accept one connection. Returns whether there was one."""
        try:
            client = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False  # another worker was faster, or the client is gone
        except OSError as error:
            if error.errno not in _CLIENT_GONE:
                self._cannot_accept(error)
            return False
        self._left_to_others = False
        self._count(1)
        self._cells[ACCEPTED] += 1
        if self._saturated:
            self._credit -= 1
            if not self._credit:
                self._update()
        self.begin(client, self._new_protocol(client))
        return True

    def _cannot_accept(self, error: OSError) -> None:
        """Retry when a descriptor is free, or after a pause."""
        rest = _ACCEPT_BACKOFF
        if error.errno in _NO_DESCRIPTOR and self._make_room(f"cannot accept: {error}"):
            rest = DEFER_SECONDS
        elif error.errno not in _NO_DESCRIPTOR:
            log.error("cannot accept: %s; trying again in %.0f s", error, rest)
        self.pause("exhausted")
        self._loop.call_later(rest, self.resume, "exhausted")

    def begin(
        self, client: Client, protocol: asyncio.BaseProtocol, *, counted: bool = True
    ) -> None:
        """Give a connection its transport and its protocol. ``counted``: `count` was called.

        connect_accepted_socket() suspends exactly once, after scheduling connection_made(). We
        drive it by hand: the second send() is scheduled right behind connection_made(). A task
        would cost a tenth of a short connection.
        """
        opening = self._loop.connect_accepted_socket(lambda: protocol, cast(socket.socket, client))
        try:
            opening.send(None)
        except OSError as error:  # the client is gone
            client.close_unused()
            self._setup_failed(error, counted=counted)
        else:
            self.opening[protocol] = client.fileno()
            self._loop.call_soon(self._finish_transport, opening, protocol, counted)

    def _finish_transport(
        self,
        opening: Coroutine[object, None, object],
        protocol: asyncio.BaseProtocol,
        counted: bool,
        /,
    ) -> None:
        del self.opening[protocol]
        try:
            opening.send(None)
        except StopIteration:
            pass
        except (OSError, RuntimeError) as error:  # uvloop's for a socket that was closed meanwhile
            self._setup_failed(error, counted=counted)

    def _setup_failed(self, error: Exception, *, counted: bool) -> None:
        if counted:
            self._count(-1)
        log.debug("a connection ended before it began: %s", error)
