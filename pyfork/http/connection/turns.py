"""The order of responses: one request at a time, in order of arrival.

A pipelined request waits until earlier ones are answered and the client has taken the responses:
none begins while output is above the high-water mark. So a client that does not read costs one
response beyond that mark.

It knows exchanges and flow control. `Connection` decides about reading and closing.
"""

from typing import TYPE_CHECKING, Any

from pyfork.http.connection.timeouts.phase import ConnectionPhase
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

    def __init__(self, engine: "Engine[Any]", client: "Client | None" = None) -> None:
        super().__init__(engine, client)
        self.current: Exchange | None = None  # the exchange that responds now
        self.waiting: list[Exchange] = []  # pipelined after it, in order
        self.closing = False  # no further request is accepted
        self.fast_path = True  # nothing else needs attention between two requests
        self.turn_taken = False  # a request began in this loop iteration
        self.scheduled = False  # `_next` is scheduled
        self.answered = 0  # bytes of finished responses, while `taken` counts them

    # Called by the transport.

    def pause_writing(self) -> None:
        """Output is above the high-water mark."""
        self.write_paused = True
        self.fast_path = False

    def resume_writing(self) -> None:
        """Output is below the low-water mark again."""
        self.write_paused = False
        if self.current is not None:
            self.current.resume()
        else:
            self.schedule()

    @property
    def unsent(self) -> int:
        """Bytes of output that the kernel has not taken yet, in any buffer."""
        current = self.current
        return super().unsent + (current.unsent if current is not None else 0)

    # Called by exchanges.

    def exchange_done(self, response: "Response") -> None:
        """The current exchange's response has been written completely."""
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
        ):  # something needs attention between two requests
            self.schedule()
        else:
            self.fast_path = not self.is_counting

    def exchange_cut(self, exchange: "Exchange") -> None:
        """The response cannot be completed: the client must be able to see that."""
        self.current = None
        self.fast_path = False
        response = exchange.response
        if self.lost:
            return
        if response is not None and (response.chunked or response.remaining is not None):
            self.closing = True
            self.finish()  # framed: the client sees that the end is missing
        else:
            self.reset()

    # Called by a connection.

    def take_turn(self, exchange: "Exchange") -> None:
        """Start the exchange, or queue it behind others."""
        if self.current is None and not (self.turn_taken or self.write_paused):
            self.turn_taken = True
            self.current = exchange
            exchange.start()
        else:
            self.waiting.append(exchange)
            self.schedule()

    def schedule(self) -> None:
        """Start the next exchange in the next loop iteration, after other connections."""
        if self.current is None and not (self.scheduled or self.write_paused):
            self.scheduled = True
            self.engine.loop.call_soon(self._next)

    def disconnect_waiting(self) -> None:
        """Disconnect all queued exchanges."""
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

    # Implemented by a connection.

    @property
    def is_unsettled(self) -> bool:
        """Whether input needs attention between two requests."""
        raise NotImplementedError

    def between_turns(self) -> None:
        """Continue with the input after the requests that were started."""
        raise NotImplementedError

    def end(self) -> None:
        """Close after the output."""
        raise NotImplementedError

    # Called by the sweep.

    def taken(self) -> int:
        """Return the response bytes that the client has taken, up to a constant and to framing.

        From the first call on all responses are counted, until the sweep sees another phase than
        WRITE.
        """
        self.fast_path = False
        current = written(self.current) if self.current is not None else 0
        return self.answered + current - self.unsent - self.unacknowledged()

    @property
    def is_counting(self) -> bool:
        """Whether `taken` counts every response."""
        return self.wait is not None and self.wait.phase is ConnectionPhase.WRITE


def written(exchange: "Exchange") -> int:
    """Return the bytes that the transport has got of this response, without chunk framing."""
    response = exchange.response
    if response is None:
        return 0
    content = 0 if exchange.head.line.method == "HEAD" else exchange.length
    return len(response.head) + content - exchange.unsent
