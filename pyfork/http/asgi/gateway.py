"""The ASGI gateway: HTTP scopes of ASGI 3 (spec version 2.3).

The application's task starts when the head is complete. Body and response are streamed under flow
control. On Python 3.12+ the task starts eagerly, so that an application that does not wait
responds within `data_received`.

A disconnect ends no task: ``receive()`` reports it at once, and later content is dropped. Version
2.3 is announced, since frameworks then use ``receive()``. From 2.4 on they wait for a failing
``send()``, which an idle stream of events never calls.
"""

import asyncio
import contextvars
import logging
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pyfork.compiled import mypyc_attr
from pyfork.http.asgi.burst import Burst
from pyfork.http.asgi.running import AsgiApp, Message, Running, Scope, run
from pyfork.http.asgi.scope import ScopeBuilder
from pyfork.http.connection.exchange import Exchange
from pyfork.http.connection.response_writer import ResponseWriter
from pyfork.http.errors import ClientDisconnected
from pyfork.http.request.head import FieldMapper, RequestHead
from pyfork.http.response.head import as_bytes
from pyfork.http.wsgi.body import keep

if TYPE_CHECKING:
    from pyfork.http.connection.application_section import ApplicationSection
    from pyfork.http.connection.connection import Connection
    from pyfork.http.request_ids import RequestIds
    from pyfork.http.response.head import Response

log = logging.getLogger("pyfork.error")

Start = tuple[int, Iterable[tuple[bytes, bytes]]]  # a status and fields

HIGH_WATER = 64 * 1024  # bytes of a body that are buffered for an application that does not read

# Seconds for which content for a disconnected client is dropped. Then send() raises: an
# application that streams without end and never calls receive() would run for ever.
DROPPING = 10.0

# Seconds after a client's FIN in which it may prove that it still reads; see `unattended`.
FIN_WAIT = 0.5

_NO_START = "http.response.body was sent before http.response.start"

EAGER = sys.version_info >= (3, 12)


class AsgiGateway:
    """The application and the lifespan's state: common to all requests of a worker."""

    unbuffered = False
    scopes_class: ClassVar[type[ScopeBuilder]] = ScopeBuilder

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
        self.scopes = self.scopes_class(root_path=root_path, state=state)
        self.context = contextvars.copy_context()  # copied for each request
        self.entry: FieldMapper | None = None
        self.start: Callable[[Scope, AsgiExchange], asyncio.Task[None] | None] = self.spawn
        # The loop itself keeps no strong reference.
        self.tasks: dict[asyncio.Task[None], Running] = {}
        self.request_ids: RequestIds | None = None
        # Makes the exchange of each request.
        self.exchange: Callable[[Connection, RequestHead], Exchange] = AsgiExchange

    def watch(self, section: "ApplicationSection") -> None:
        """The first step of each task is a section of application code."""
        self.start = partial(self._start_in_section, section)

    def _start_in_section(
        self, section: "ApplicationSection", scope: Scope, exchange: "AsgiExchange"
    ) -> "asyncio.Task[None] | None":
        section.running = exchange
        if section.asleep:
            section.wake()
        try:
            return self.spawn(scope, exchange)
        finally:
            section.running = None
            if section.watched:
                section.settle()

    def spawn(self, scope: Scope, call: Running) -> "asyncio.Task[None] | None":
        """Run the application, eagerly where Python can. Returns None if it is done."""
        # This code may run at the end of another request, in that one's context.
        context = self.context.copy()
        coroutine = run(self.app, scope, call)
        if EAGER:
            task = asyncio.Task(coroutine, loop=self.loop, context=context, eager_start=True)  # type: ignore[call-arg,unused-ignore]
            if task.done():
                return None
        else:
            task = self.loop.create_task(coroutine, context=context)
        self.tasks[task] = call
        task.add_done_callback(self.tasks.pop)
        return task

    def drain(self) -> None:
        """Begin a drain: end tasks that work for no client."""
        for exchange in list(self.tasks.values()):
            exchange.end_unattended()

    def cut(self) -> int:
        """Cancel remaining tasks. Returns their number."""
        left = list(self.tasks.values())
        for exchange in left:
            exchange.cancel()
        return len(left)


@mypyc_attr(allow_interpreted_subclasses=True)
class AsgiExchange(ResponseWriter):
    """One task of the application."""

    task: "asyncio.Task[None] | None" = None
    # The request's body.
    pieces: "list[bytes] | None" = None  # received from the client, and not by the application
    buffered = 0  # bytes in pieces
    delivered = False  # the application has received the end
    ended = False  # the client sends nothing more
    # The response.
    write_ready: asyncio.Event | None = None  # set when send() may continue, for a slow client
    burst: Burst | None = None  # of a response in pieces
    # The client.
    gone_since = 0.0  # monotonic seconds
    told = False  # the application knows of the disconnect
    listening = 0  # waiting calls of receive()
    sent_before_fin = -1  # bytes of content before the FIN; -1: no response then, or no FIN
    cancelled = False  # by pyfork

    def __init__(self, connection: "Connection", head: RequestHead) -> None:
        self.connection = connection
        self.head = head
        # Attributes that each request uses are found faster here than in the class.
        self.gateway: AsgiGateway = connection.engine.gateway
        self.response: Response | None = None
        self.response_start: Start | None = None  # from http.response.start
        self.receive_ready: asyncio.Event | None = None  # set when receive() may continue
        self.client_gone = False  # the client has disconnected, or got a response from the server

    # Hooks of `Exchange`.

    def start(self) -> None:
        connection, gateway = self.connection, self.gateway
        connection.engine.begin(self)
        scope = gateway.scopes.make(connection, self.head)
        if connection.engine.config.request_timeout:
            scope["extensions"]["pyfork.extend_timeout"] = self.extend_timeout
        self.task = gateway.start(scope, self)

    def body_received(self, data: bytes) -> None:
        if self.pieces is None:
            self.pieces = []
        keep(self.pieces, data)
        self.buffered += len(data)
        self._wake()

    def request_complete(self) -> None:
        self._wake()

    def resume(self) -> None:
        if self.write_ready is not None:
            self.write_ready.set()

    def half_closed(self) -> None:
        """Report a disconnect to receive(), since most clients with a FIN are gone. Until then
        send() works: some clients still read."""
        self.ended = True
        if self.response is not None:
            self.sent_before_fin = self.length
            engine = self.connection.engine
            if engine.draining:
                engine.loop.call_later(FIN_WAIT, self.end_unattended)
        self._wake()

    def disconnected(self) -> None:
        self._leave()
        self._wake()
        self.resume()
        if self.connection.engine.draining:
            self.end_unattended()

    def on_timeout(self, seconds: float) -> None:
        from pyfork.log.stacks import format_task

        self.log_timeout(seconds, format_task(self.task) if self.task is not None else [])
        self.fail(504, "no response in time")
        self.cancel()

    def cancel(self) -> None:
        """Cancel the application's task; an exception of it is no failure now."""
        self.cancelled = True
        self._leave()
        if self.task is not None:
            self.task.cancel()

    def end_unattended(self) -> None:
        """Cancel the task if it is `unattended`."""
        if self.unattended:
            self.cancel()

    @property
    def unattended(self) -> bool:
        """Whether the task works for no client and does not know that.

        Its response has begun and its client has disconnected. Before the response, the work
        itself may matter; and an application that knows has decided to continue. A client that
        sent FIN and gets data proves whether it reads: if it does not, its system answers with a
        reset.
        """
        if self.response is None or self.finished or self.told or self.listening:
            return False
        return self.client_gone or (self.ended and self.length == self.sent_before_fin)

    def fail(self, status: int = 500, why: str = "the application failed") -> None:
        if self.burst is not None:
            self.burst.flush()
        super().fail(status, why)

    @property
    def full(self) -> bool:
        return self.buffered > HIGH_WATER

    @property
    def unsent(self) -> int:
        return len(self.burst) if self.burst is not None else 0

    # Called by `running.run`.

    def app_failed(self, error: BaseException) -> None:
        ours = self.cancelled and isinstance(error, asyncio.CancelledError)
        if not (ours or (self.client_gone and is_about_the_client(error))):
            self.log_failure()
        self.fail()

    def app_returned(self) -> None:
        if self.finished:
            return
        if not self.client_gone:
            log.error(
                "%s %s: the application returned without a whole response",
                self.head.method,
                self.head.path.decode("latin-1"),
            )
        self.fail()

    def is_abandoned(self) -> bool:
        running = asyncio.current_task(self.gateway.loop)
        return self.task is not None and running is not self.task

    # Called by the application.

    async def receive(self) -> Message:
        """ASGI's ``receive``."""
        while not self.pieces and not self.client_gone and not self.finished:
            if self.ended or (self.body_complete and not self.delivered):
                break
            self.send_continue()
            if self.receive_ready is None:
                self.receive_ready = asyncio.Event()
            self.receive_ready.clear()
            self.listening += 1
            try:
                await self.receive_ready.wait()
            finally:
                self.listening -= 1
        if self.delivered or self.client_gone or self.finished:
            self.told = True
            if not self.finished:
                self._leave()  # send() drops content from now on
            return {"type": "http.disconnect"}
        pieces, self.pieces = self.pieces, None
        body = b"".join(pieces) if pieces else b""
        self.buffered = 0
        self.delivered = self.body_complete
        if not self.body_complete:
            self.connection.update_reading()
        return {"type": "http.request", "body": body, "more_body": not self.body_complete}

    async def send(self, message: Message) -> None:
        """ASGI's ``send``.

        Raises:
            RuntimeError: the message is out of order.
            ResponseError: HTTP does not allow the message.
            ClientDisconnected: the client disconnected more than `DROPPING` seconds ago.
        """
        if self.client_gone:
            await self._drop()
            return
        kind = message["type"]
        if kind == "http.response.start":
            if self.response_start is not None or self.response is not None:
                raise RuntimeError("http.response.start was sent twice")
            self.response_start = message["status"], message.get("headers", ())
        elif kind == "http.response.body":
            body, more = message.get("body", b""), bool(message.get("more_body", False))
            if type(body) is not bytes:
                body = as_bytes(body)
            if more or self.response is not None:
                self._send_piece(body, more=more)
                if self.connection.write_paused and not self.finished:
                    await self._drained()
            else:
                self._send_whole(body)
        else:
            raise RuntimeError(f"an HTTP response has no message {kind!r}")

    def _send_whole(self, body: bytes) -> None:
        if self.response_start is None:
            raise RuntimeError(_NO_START)
        status, headers = self.response_start
        if body or self.head.is_simple or self.head.method != "HEAD":
            self.respond_whole(status, None, headers, body)
        else:  # the content's length is not known
            self.respond(status, None, headers)
            self.finish()
        self._wake()

    def _send_piece(self, body: bytes, *, more: bool) -> None:
        if self.finished:
            raise RuntimeError("the response was complete already")
        if self.response is None:
            if self.response_start is None:
                raise RuntimeError(_NO_START)
            status, headers = self.response_start
            self.respond(status, None, headers, body)
            self.burst = Burst(self.connection)
        elif body:
            assert self.burst is not None
            framed = self.response.body(body)
            self.length += len(body)
            (self.burst.write if more else self.burst.hold)(framed)
        if not more:
            self.finish()
            self._wake()

    def finish(self) -> None:
        if self.burst is None:
            super().finish()
            return
        assert self.response is not None
        self.burst.hold(self.response.end())
        self.burst.flush()
        self.complete()

    async def _drop(self) -> None:
        """Drop content. Yields to the loop, or a stream would block it."""
        if time.monotonic() - self.gone_since > DROPPING:
            raise ClientDisconnected("the client has left")
        await asyncio.sleep(0)

    def _leave(self) -> None:
        """Mark the client as disconnected."""
        if not self.client_gone:
            self.client_gone = True
            self.gone_since = time.monotonic()

    async def _drained(self) -> None:
        """Wait until the client's buffer has room."""
        if self.write_ready is None:
            self.write_ready = asyncio.Event()
        self.write_ready.clear()
        await self.write_ready.wait()

    def _wake(self) -> None:
        if self.receive_ready is not None:
            self.receive_ready.set()


def is_about_the_client(error: BaseException) -> bool:
    """Whether a client's disconnect caused ``error``, through any number of frameworks."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ClientDisconnected):
            return True
        if isinstance(seen, BaseExceptionGroup) and all(map(is_about_the_client, seen.exceptions)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
