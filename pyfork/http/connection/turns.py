"""The order of answers: one request at a time, in the order in which they came.

A pipelined request waits until those before it are answered, and until the client has taken
their answers: none begins while the connection's output is above its high-water mark. So a client
that does not read costs one answer beyond that mark, whatever it asks for.

Knows exchanges and the transport's flow control. What is read, and how a connection ends, is
decided by `Connection`.
"""

from typing import TYPE_CHECKING

from pyfork.http.connection.phase import ConnectionPhase
from pyfork.http.connection.transport import ClientTransport

if TYPE_CHECKING:
    from pyfork.http.connection.engine import Engine
    from pyfork.http.connection.exchange import Exchange
    from pyfork.http.response.head import Response
    from pyfork.net.accepted import Client


class Turns(ClientTransport):
    """The exchanges of one connection."""

    __slots__ = (
        "answered",
        "closing",
        "current",
        "fast_path",
        "scheduled",
        "turn_taken",
        "waiting",
    )

    def __init__(self, engine: "Engine", client: "Client | None" = None) -> None:
        super().__init__(engine, client)
        self.current: Exchange | None = None  # whose turn it is to answer
        self.waiting: list[Exchange] = []  # pipelined behind it, in order
        self.closing = False  # no request is taken after those that were
        self.fast_path = True  # nothing is to be seen to but the current request, and a next one
        self.turn_taken = False  # a request began in this turn of the loop
        self.scheduled = False  # the next one has its turn coming
        self.answered = 0  # bytes of finished responses, while `taken` has to know

    # Called by the transport.

    def pause_writing(self) -> None:
        """The output is above its high-water mark."""
        self.write_paused = True
        self.fast_path = False

    def resume_writing(self) -> None:
        """It is below the low-water mark again."""
        self.write_paused = False
        if self.current is not None:
            self.current.resume()
        else:
            self.schedule()

    @property
    def unsent(self) -> int:
        """Bytes of output that the system has not taken yet, wherever they are kept."""
        current = self.current
        return super().unsent + (current.unsent if current is not None else 0)

    # Called by exchanges.

    def exchange_done(self, response: "Response") -> None:
        """The current exchange's response has been written whole."""
        if self.fast_path and not (response.close or self.engine.draining):
            self.current = None
            return
        current, self.current = self.current, None
        if self.lost:
            return
        self.fast_path = False
        if current is not None:
            self.answered += written(current)
        if response.close:
            self.closing = True
            self.disconnect_waiting()
            self.end()
        elif (
            self.waiting
            or self.write_paused
            or self.closing
            or self.engine.draining
            or self.is_unsettled
        ):  # there is something to see to between two requests
            self.schedule()
        else:
            self.fast_path = not self.is_counting

    def exchange_cut(self, exchange: "Exchange") -> None:
        """Its response cannot be completed: the client must not take it for whole."""
        self.current = None
        self.fast_path = False
        response = exchange.response
        if self.lost:
            return
        if response is not None and (response.chunked or response.remaining is not None):
            self.closing = True
            self.finish()  # framed: the end is missing and seen to be missing
        else:
            self.reset()

    # Called by a connection.

    def take_turn(self, exchange: "Exchange") -> None:
        """Begin to answer, if nothing comes before it; else wait."""
        if self.current is None and not (self.turn_taken or self.write_paused):
            self.turn_taken = True
            self.current = exchange
            exchange.start()
        else:
            self.waiting.append(exchange)
            self.schedule()

    def schedule(self) -> None:
        """Let the next one begin in the next turn of the loop: others have theirs before."""
        if self.current is None and not (self.scheduled or self.write_paused):
            self.scheduled = True
            self.engine.loop.call_soon(self._next)

    def disconnect_waiting(self) -> None:
        """No request that waits is answered any more."""
        waiting, self.waiting = self.waiting, []
        for exchange in waiting:
            if not exchange.finished:
                exchange.disconnected()

    def _next(self) -> None:
        self.scheduled = False
        if self.lost or self.lingering or self.current is not None or self.write_paused:
            return
        self.turn_taken = True
        if self.waiting:
            exchange = self.current = self.waiting.pop(0)
            exchange.start()
        if not self.scheduled:
            self.between_turns()

    # What a connection fills in.

    @property
    def is_unsettled(self) -> bool:
        """Whether something of what was read is to be seen to between two requests."""
        raise NotImplementedError

    def between_turns(self) -> None:
        """See to what is behind the requests that had their turn."""
        raise NotImplementedError

    def end(self) -> None:
        """Close after what is written."""
        raise NotImplementedError

    # Called by the sweep.

    def taken(self) -> int:
        """Bytes of responses that the client has taken, but for a constant, and for framing.

        From the first call on, until the sweep finds another phase than WRITE, all that is
        answered is counted.
        """
        self.fast_path = False
        current = written(self.current) if self.current is not None else 0
        return self.answered + current - self.unsent - self.unacknowledged()

    @property
    def is_counting(self) -> bool:
        """Whether `taken` has to know of each response."""
        return self.wait is not None and self.wait.phase is ConnectionPhase.WRITE


def written(exchange: "Exchange") -> int:
    """Bytes of its response that the transport has got so far, without the framing of chunks."""
    response = exchange.response
    if response is None:
        return 0
    content = 0 if exchange.head.line.method == "HEAD" else exchange.length
    return len(response.head) + content - exchange.unsent
