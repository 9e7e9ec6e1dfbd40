"""The application's view of one WebSocket: ASGI's scope, ``receive`` and ``send``."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from pyfork.http.asgi.gateway import HIGH_WATER, AsgiGateway, is_about_the_client
from pyfork.http.asgi.running import Message, Scope
from pyfork.http.connection.response_writer import ResponseWriter
from pyfork.http.errors import ClientDisconnected
from pyfork.http.request.head import Fields, RequestHead
from pyfork.http.response.head import Response, as_bytes
from pyfork.http.websocket.handshake import offered_subprotocols, switching_protocols

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection

log = logging.getLogger("pyfork.error")

# Bytes added to the size of each queued message, which is a dictionary.
_MESSAGE = 256

# Seconds, in a drain, for an application to call receive() or send() after its client
# disconnected: it may work on the last message. Otherwise it is cancelled, or it would hold the
# worker until the end of the grace.
UNATTENDED = 3.0

_SCHEMES = {"http": "ws", "https": "wss"}


class SessionStage(Enum):
    """The application's progress."""

    CONNECTING = auto()  # nothing yet
    OPEN = auto()  # accepted
    DENYING = auto()  # it has begun a response
    CLOSED = auto()  # closed, or responded


class FrameConnection(Protocol):
    """The part of a `WebSocketConnection` that a session needs."""

    link: "Connection"
    write_paused: bool

    @property
    def is_closing(self) -> bool: ...
    def open(self, head: bytes) -> None: ...
    def send_text(self, text: str) -> int: ...
    def send_binary(self, data: bytes) -> int: ...
    def close(self, code: int, reason: str = "") -> None: ...
    def end(self) -> None: ...
    def abort(self) -> None: ...
    def read_on(self) -> None: ...


def websocket_scope(
    gateway: AsgiGateway, connection: "FrameConnection", head: RequestHead
) -> Scope:
    """Make the scope of a handshake (ASGI 3, WebSocket spec version 2.4)."""
    scope = gateway.scopes.make(connection.link, head)
    del scope["method"]
    scope["type"] = "websocket"
    scope["asgi"]["spec_version"] = "2.4"
    scope["scheme"] = _SCHEMES.get(scope["scheme"], scope["scheme"])
    scope["subprotocols"] = offered_subprotocols(head)
    scope["extensions"]["websocket.http.response"] = {}
    return scope


class WebSocketSession(ResponseWriter):
    """One call of the application."""

    def __init__(
        self,
        gateway: AsgiGateway,
        websocket: "FrameConnection",
        head: RequestHead,
        negotiated: Fields,
    ) -> None:
        super().__init__(websocket.link, head)
        self._gateway = gateway
        self._websocket = websocket
        self._negotiated = negotiated  # fields of the 101 response
        self._scope = websocket_scope(gateway, websocket, head)
        self._echo: Fields = []  # the request's id, with --request-id
        if (ids := gateway.request_ids) is not None:
            request_id = ids.of(self)
            ids.put(self._scope, request_id)
            self._echo = [ids.field(request_id)]
        self._task: asyncio.Task[None] | None = None
        self.stage = SessionStage.CONNECTING
        # Messages that the application has not received, with their counted sizes.
        self._messages: deque[tuple[int, Message]] = deque([(0, {"type": "websocket.connect"})])
        self._queued = 0  # bytes
        self._disconnect: Message | None = None  # received after the messages
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._denial: Message | None = None  # websocket.http.response.start, until content is sent
        self._cancelled = False  # by pyfork
        self._told = False  # the application knows of the disconnect
        self._received = 0  # messages that the application has received

    # Called by the connection.

    def start(self) -> None:
        self.started = monotonic()
        self._task = self._gateway.spawn(self._scope, self)

    @property
    def full(self) -> bool:
        """Whether queued messages exceed the high-water mark."""
        return self._queued > HIGH_WATER

    def message_received(self, message: str | bytes, size: int) -> None:
        """Queue a message of ``size`` bytes."""
        if self.stage is SessionStage.CLOSED or self._disconnect is not None:
            return
        kind = "text" if isinstance(message, str) else "bytes"
        size += _MESSAGE
        self._messages.append((size, {"type": "websocket.receive", kind: message}))
        self._queued += size
        self._readable.set()

    def closed(self, code: int, reason: str = "") -> None:
        """Queue a disconnect with ``code`` (RFC 6455 7.4)."""
        if self._disconnect is None:
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self._readable.set()
            self.resume()
            if self.connection.engine.draining:
                self.end_unattended()

    def refuse(self) -> None:
        """The server cannot keep what the client has sent before the end of the handshake."""
        if self.stage is SessionStage.CONNECTING:
            self.deny(503, [(b"content-type", b"text/plain")], b"Service Unavailable\n")
        else:  # a denial has begun
            self.closed(1006)
            self._websocket.abort()

    def resume(self) -> None:
        self._writable.set()

    # Called by the gateway, in a drain.

    def end_unattended(self) -> None:
        """If the client has disconnected, cancel the task after `UNATTENDED` seconds without a
        call."""
        if self._disconnect is not None:
            self._gateway.loop.call_later(UNATTENDED, self._end_if_unattended, self._received)

    def _end_if_unattended(self, received: int) -> None:
        if self._told or self.stage is SessionStage.CLOSED:
            return
        if self._received != received:  # it works on the last message
            self.end_unattended()
        else:
            self.cancel()

    def cancel(self) -> None:
        """Cancel the application's task; an exception of it is no failure now."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    # Called by `running.run`.

    def app_failed(self, error: BaseException) -> None:
        if not self._is_expected(error):
            self.log_failure()
        self._end(failed=True)

    def app_returned(self) -> None:
        unanswered = self.stage is SessionStage.CONNECTING and self._disconnect is None
        if unanswered:
            path = self.head.path.decode("latin-1")
            log.error("%s %s: the application did not answer the handshake", self.method, path)
        self._end(failed=unanswered)

    def is_abandoned(self) -> bool:
        running = asyncio.current_task(self._gateway.loop)
        return self._task is not None and running is not self._task

    def _is_expected(self, error: BaseException) -> bool:
        """Whether ``error`` results from our cancellation or the client's disconnect.

        Frameworks (Starlette, FastAPI, Litestar) have an exception of this name, which an
        application may leave to the server.
        """
        if self._cancelled and isinstance(error, asyncio.CancelledError):
            return True
        if self._disconnect is None:
            return False
        names = [each.__name__ for each in type(error).__mro__]
        return "WebSocketDisconnect" in names or is_about_the_client(error)

    def _end(self, *, failed: bool) -> None:
        """Close what the application left open."""
        stage, self.stage = self.stage, SessionStage.CLOSED
        if self._disconnect is not None:
            return
        if stage is SessionStage.OPEN:
            self._websocket.close(1011 if failed else 1000)
        elif stage is not SessionStage.CLOSED and self.response is None:
            self.deny(500, [(b"content-type", b"text/plain")], b"Internal Server Error\n")
        elif stage is SessionStage.DENYING:
            self._websocket.abort()

    # Called by the application.

    async def receive(self) -> Message:
        """ASGI's ``receive``."""
        while not self._messages and self._disconnect is None:
            self._readable.clear()
            await self._readable.wait()
        if not self._messages:
            assert self._disconnect is not None
            self._told = True
            return dict(self._disconnect)
        size, message = self._messages.popleft()
        was_full = self.full
        self._queued -= size
        self._received += 1
        if was_full and not self.full:
            self._websocket.read_on()
        return message

    async def send(self, message: Message) -> None:
        """ASGI's ``send``.

        Raises:
            RuntimeError: the message is out of order.
            ResponseError: HTTP does not allow the message.
            ClientDisconnected: the client has disconnected.
        """
        while self._websocket.write_paused and self._disconnect is None:
            self._writable.clear()
            await self._writable.wait()
        kind = message["type"]
        if self._disconnect is not None and self.stage is not SessionStage.CLOSED:
            if kind == "websocket.close":  # no response: 403
                self.stage = SessionStage.CLOSED
                return
            self._told = True
            raise ClientDisconnected("the client has left")
        step = _STEPS.get((self.stage, kind))
        if step is None:
            raise RuntimeError(f"{kind!r} is out of order: WebSocket {self.stage.name.lower()}")
        step(self, message)
        if self._websocket.is_closing:  # dropped messages do not wait
            await asyncio.sleep(0)

    def _accept(self, message: Message) -> None:
        lines = self.connection.engine.heads.server_lines
        headers, subprotocol = message.get("headers", ()), message.get("subprotocol")
        head = switching_protocols([*self._negotiated, *self._echo], headers, subprotocol, **lines)
        self.response = Response(101, head, close=True, content=False, chunked=False, left=0)
        self.stage = SessionStage.OPEN
        self._websocket.open(head)

    def _send(self, message: Message) -> None:
        data, text = message.get("bytes"), message.get("text")
        if data is not None:
            self.length += self._websocket.send_binary(data)
        elif text is not None:
            self.length += self._websocket.send_text(text)
        else:
            raise RuntimeError("websocket.send has neither bytes nor text")

    def _close(self, message: Message) -> None:
        code, reason = message.get("code", 1000), message.get("reason") or ""
        self._websocket.close(code, reason)
        self.stage = SessionStage.CLOSED
        self._messages.clear()
        self._queued = 0
        self.closed(code, reason)
        self._websocket.read_on()

    def _reject(self, message: Message) -> None:
        self.deny(403, [], b"")
        self.stage = SessionStage.CLOSED

    def _start_denial(self, message: Message) -> None:
        self._denial = message
        self.stage = SessionStage.DENYING

    def _continue_denial(self, message: Message) -> None:
        body, more = as_bytes(message.get("body", b"")), message.get("more_body", False)
        if self._denial is not None:
            start, length = self._denial, None if more else len(body)
            self._respond(start["status"], start.get("headers", ()), body, length=length)
            self._denial = None
        else:
            self.send_more(body)
        if not more:
            self._denied()
            self.stage = SessionStage.CLOSED

    def deny(self, status: int, headers: Fields, content: bytes) -> None:
        """Answer the handshake with a response instead of a WebSocket, and close."""
        self._respond(status, headers, content, length=len(content))
        self._denied()

    def _respond(self, status: int, headers: Fields, content: bytes, *, length: int | None) -> None:
        self.connection.closing = True  # announced by the head
        headers = [*headers, *self._echo]
        self.connection.write(self.begin(status, None, headers, content, length=length))

    def _denied(self) -> None:
        """The response is complete."""
        assert self.response is not None
        self.connection.write(self.response.end())
        self.closed(1006)
        self._websocket.end()


_STEPS: dict[tuple[SessionStage, str], Callable[[WebSocketSession, Message], None]] = {
    (SessionStage.CONNECTING, "websocket.accept"): WebSocketSession._accept,
    (SessionStage.CONNECTING, "websocket.close"): WebSocketSession._reject,
    (SessionStage.CONNECTING, "websocket.http.response.start"): WebSocketSession._start_denial,
    (SessionStage.DENYING, "websocket.http.response.body"): WebSocketSession._continue_denial,
    (SessionStage.OPEN, "websocket.send"): WebSocketSession._send,
    (SessionStage.OPEN, "websocket.close"): WebSocketSession._close,
}
