"""The ASGI gateway: HTTP scopes of ASGI 3 (spec version 2.4).

The application's task starts when the head is there; body and response stream both ways under
flow control. On Python 3.12+ the task starts eagerly, so that an application which does not wait
answers before `data_received` returns.
"""

import asyncio
import contextvars
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from pyfork.http.exchange import APP_FAILURE, Exchange
from pyfork.http.reader import Entry
from pyfork.http.request import RequestHead
from pyfork.http.scope import Scope, Scopes

if TYPE_CHECKING:
    from pyfork.http.connection import Connection

log = logging.getLogger("pyfork.error")

Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Coroutine[Any, Any, None],
]

HIGH_WATER = 64 * 1024  # bytes of a body kept for an application that does not read it

_NO_START = "http.response.body was sent before http.response.start"

EAGER = sys.version_info >= (3, 12)


class ClientDisconnected(OSError):
    """Raised by ``send`` when nobody is left to send to (ASGI HTTP 2.4)."""


class AsgiGateway:
    """What all requests of one worker share: the application and the lifespan's state."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        loop: asyncio.AbstractEventLoop,
        root_path: str,
        state: dict[str, Any],
    ) -> None:
        self.app = app
        self.loop = loop
        self.scopes = Scopes(root_path=root_path, state=state)
        self.context = contextvars.copy_context()  # what each request begins with
        self.entry: Entry | None = None
        self.tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps no strong reference
        # What the engine makes for each request.
        self.exchange: Callable[[Connection, RequestHead], Exchange] = type(
            "AsgiExchange", (AsgiExchange,), {"gateway": self}
        )

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None] | None":
        """Run ``coroutine`` as a task, at once where Python can. None if it is done already."""
        # What runs now may be the end of another request, in that one's context.
        context = self.context.copy()
        if EAGER:
            task = asyncio.Task(coroutine, loop=self.loop, context=context, eager_start=True)  # type: ignore[call-arg,unused-ignore]
            if task.done():
                return None
        else:
            task = self.loop.create_task(coroutine, context=context)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


class AsgiExchange(Exchange):
    """One task of the application."""

    task: "asyncio.Task[None] | None" = None
    # The request's body.
    pieces: "list[bytes] | None" = None  # that came and were not received yet
    buffered = 0  # bytes in pieces
    delivered = False  # the application has seen its end
    ended = False  # the client will send no more
    news: asyncio.Event | None = None  # what receive() waits for
    # The response.
    said: tuple[int, Iterable[tuple[bytes, bytes]]] | None = None  # by http.response.start
    room: asyncio.Event | None = None  # what send() waits for, of a slow client
    gone = False  # the client has gone, or has had an answer without us

    scope: Scope | None = None

    gateway: AsgiGateway  # each has a class of exchanges

    def __init__(self, connection: "Connection", head: RequestHead) -> None:
        self.connection = connection
        self.head = head

    # Hooks of Exchange.

    def start(self) -> None:
        connection, gateway = self.connection, self.gateway
        connection.engine.begin(self)
        self.scope = gateway.scopes.make(connection, self.head)
        self.task = gateway.spawn(self._run())

    def body_received(self, data: bytes) -> None:
        if self.pieces is None:
            self.pieces = []
        self.pieces.append(data)
        self.buffered += len(data)
        self._wake()

    def request_complete(self) -> None:
        self._wake()

    def resume(self) -> None:
        if self.room is not None:
            self.room.set()

    def half_closed(self) -> None:
        """Tell receive(), for most have gone; send() goes on, for some have not."""
        self.ended = True
        self._wake()

    def disconnected(self) -> None:
        self.gone = True
        self._wake()
        self.resume()

    def overdue(self, seconds: float) -> None:
        log.error(
            "%s %s: no response in %.0f s; its task is cancelled",
            self.head.method,
            self.head.path.decode("latin-1"),
            seconds,
        )
        self.gone = True
        self.fail(503, "no response in time")
        if self.task is not None:
            self.task.cancel()

    @property
    def full(self) -> bool:
        return self.buffered > HIGH_WATER

    # The application's side.

    async def _run(self) -> None:
        try:
            assert self.scope is not None
            await self.gateway.app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self.fail(503, "its task was cancelled")
        except APP_FAILURE as error:
            if not (self.gone and _is_about_the_client(error)):
                self.log_failure()
            self.fail()
        else:
            if self.finished:
                return
            if not self.gone:
                log.error(
                    "%s %s: the application returned without a whole response",
                    self.head.method,
                    self.head.path.decode("latin-1"),
                )
            self.fail()

    async def receive(self) -> Message:
        """ASGI's ``receive``."""
        while not self.pieces and not self.gone and not self.finished:
            if self.ended or (self.arrived and not self.delivered):
                break
            self.send_continue()
            if self.news is None:
                self.news = asyncio.Event()
            self.news.clear()
            await self.news.wait()
        if self.delivered or self.gone or self.finished:
            return {"type": "http.disconnect"}
        pieces, self.pieces = self.pieces, None
        body = b"".join(pieces) if pieces else b""
        self.buffered = 0
        self.delivered = self.arrived
        if not self.arrived:
            self.connection.update_reading()
        return {"type": "http.request", "body": body, "more_body": not self.arrived}

    async def send(self, message: Message) -> None:
        """ASGI's ``send``.

        Raises ClientDisconnected once the client has gone, RuntimeError for a message out of
        order, and ResponseError for what HTTP does not allow.
        """
        kind = message["type"]
        if self.gone or self.connection.lost:
            raise ClientDisconnected("the client has gone")
        if kind == "http.response.start":
            if self.said is not None or self.response is not None:
                raise RuntimeError("http.response.start was sent twice")
            self.said = message["status"], message.get("headers", ())
        elif kind == "http.response.body":
            body, more = message.get("body", b""), message.get("more_body", False)
            if more or self.response is not None:
                self._send_piece(body, more=more)
                if self.connection.write_paused and not self.finished:
                    await self._drained()
            else:
                self._send_whole(body)
        else:
            raise RuntimeError(f"an HTTP response has no message {kind!r}")

    def _send_whole(self, body: bytes) -> None:
        if self.said is None:
            raise RuntimeError(_NO_START)
        status, headers = self.said
        if body or self.head.usual or self.head.method != "HEAD":
            self.respond_whole(status, None, headers, body)
        else:  # how long the content would be is not said
            self.respond(status, None, headers)
            self.finish()
        self._wake()

    def _send_piece(self, body: bytes, *, more: bool) -> None:
        if self.finished:
            raise RuntimeError("the response was complete already")
        if self.response is None:
            if self.said is None:
                raise RuntimeError(_NO_START)
            status, headers = self.said
            self.respond(status, None, headers, body)
        elif body:
            self.send_more(body)
        if not more:
            self.finish()
            self._wake()

    async def _drained(self) -> None:
        """Wait until the client has room."""
        if self.room is None:
            self.room = asyncio.Event()
        self.room.clear()
        await self.room.wait()

    def _wake(self) -> None:
        if self.news is not None:
            self.news.set()


def _is_about_the_client(error: BaseException) -> bool:
    """Whether ``error`` came from a client that went away, through however many frameworks."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ClientDisconnected):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
