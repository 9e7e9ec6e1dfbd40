"""One request and its response, as a connection sees them.

A gateway implements the hooks; the connection calls them in the loop. `ResponseWriter` responds.
"""

from math import inf
from time import monotonic
from typing import Any

from pyfork.compiled import mypyc_attr
from pyfork.http.request.head import FieldBlock, Fields, RequestHead, RequestLine
from pyfork.http.response.head import Response

# Any exception of the application is its own failure: logged, answered with 500, survived. That
# includes SystemExit, and what extensions in Rust raise when they panic.
APP_FAILURE = BaseException

# Bytes of a request body that are read and dropped after an early response. A longer body costs
# the client the connection (RFC 9112 9.3).
MAX_DISCARD = 256 * 1024


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange:
    """A request and its response.

    Attributes that most requests leave unchanged are in the class, which costs nothing.
    """

    body_complete = False  # the request's body is complete
    received = 0  # bytes of body so far
    must_continue = False  # the client waits for 100 Continue
    response: Response | None = None
    length = 0  # bytes of content sent
    finished = False
    started = 0.0  # monotonic seconds; 0 before `start`
    extended_until = 0.0  # monotonic seconds; before them --request-timeout does not count
    environ: Any = None  # of WSGI
    queue_time: float | None = None  # seconds; None where it is not measured
    head: RequestHead

    # Implemented by a gateway.

    def start(self) -> None:
        """Begin: all earlier responses have been sent."""
        raise NotImplementedError

    def body_received(self, data: bytes) -> None:
        """Take a part of the body."""
        raise NotImplementedError

    def request_complete(self) -> None:
        """The body is complete."""
        raise NotImplementedError

    def resume(self) -> None:
        """The output buffer has drained: continue writing."""

    def half_closed(self) -> None:
        """The client sent FIN. It may still read, or be gone."""

    def disconnected(self) -> None:
        """The client disconnected, or its request can never be complete."""

    def extend_timeout(self, seconds: float) -> None:
        """The application's: let the response take so many seconds more, from now on.

        Raises ValueError for what is no number of seconds.
        """
        if not 0 <= seconds < inf:
            raise ValueError(f"not a number of seconds: {seconds!r}")
        self.extended_until = max(self.extended_until, monotonic() + seconds)

    def refuse_hung(self, seconds: float, thread: int) -> None:
        """Answer for application code that has held ``thread``, the loop's, for so many seconds.

        Called in a helper thread while that code runs; the worker is about to be killed.
        """

    def on_timeout(self, seconds: float) -> None:
        """No response began within ``--timeout``."""

    def fail(self, status: int = 500, why: str = "the application failed") -> None:
        """End without a complete response: send a plain error, or cut the connection visibly."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Give up before a response; the connection responds instead."""
        raise NotImplementedError

    @property
    def full(self) -> bool:
        """Whether the client should stop sending for now."""
        return False

    @property
    def blocked(self) -> bool:
        """Whether it waits for the client, with output outside the transport's buffer."""
        return False

    @property
    def unsent(self) -> int:
        """Bytes of the response outside the transport's buffer."""
        return 0

    # For the access log (`log.access_format.Access`).

    @property
    def client(self) -> str:
        """The client's address as the application got it."""
        raise NotImplementedError

    @property
    def scheme(self) -> str:
        """ "http" or "https", as received."""
        raise NotImplementedError

    @property
    def method(self) -> str:
        """The request's method."""
        return self.head.line.method

    @property
    def target(self) -> str:
        """The request's target, as sent."""
        return self.head.line.target.decode("latin-1")

    @property
    def version(self) -> str:
        """The request's version of HTTP."""
        return self.head.line.version

    @property
    def status(self) -> int:
        """The response's status; 0 for none."""
        return self.response.status if self.response is not None else 0

    @property
    def elapsed(self) -> float:
        """Seconds since `start`."""
        return monotonic() - self.started if self.started else 0.0

    @property
    def request_headers(self) -> Fields:
        """The request's fields."""
        return self.head.block.fields

    @property
    def response_headers(self) -> Fields:
        """The response's fields, as sent."""
        return self.response.headers if self.response is not None else []

    @property
    def line(self) -> RequestLine:
        """The request line."""
        return self.head.line

    @property
    def block(self) -> FieldBlock:
        """The block of fields."""
        return self.head.block
