"""One WebSocket connection: frames, flow control, pings and the closing handshake (RFC 6455).

The sans-I/O protocol of `websockets` reads and makes frames; they are written to the connection of
the handshake. The session is the application's view.

Memory: one message of a client, up to ``--ws-max-size``, besides the session's queue and one read;
`PartialMessages` bounds their sum. Reading pauses while the queue is full, and while more than
`CONTROL` bytes of answers to control frames wait.
"""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import State

from pyfork.http.asgi.gateway import AsgiGateway
from pyfork.http.connection.loop_turns import LoopTurns
from pyfork.http.connection.timeouts.deadlines import LINGER
from pyfork.http.request.head import RequestHead
from pyfork.http.websocket.handshake import HandshakeError, negotiate, new_protocol
from pyfork.http.websocket.keepalive import Keepalive
from pyfork.http.websocket.partial import PartialMessages
from pyfork.http.websocket.progress import OutputProgress
from pyfork.http.websocket.session import WebSocketSession

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection

# Bytes that are parsed at once: some hundred tiny frames, which take some milliseconds; more
# within a long frame.
SLICE = 2 * 1024
LONG_SLICE = 16 * 1024

# Bytes that are read at once. It bounds what a paused connection keeps: the 256 KiB that a loop
# reads by itself would be 250 MiB in a worker with 1,000 connections.
READ = LONG_SLICE
_read_buffer = memoryview(bytearray(READ))  # of all connections: it is copied from at once

CONTROL = 4 * 1024  # bytes of pongs for a client that does not read

# Seconds without progress in which a client may answer a close frame or read output.
CLOSE_TIMEOUT = 5.0


class WebSocketConnection(asyncio.BufferedProtocol):
    """The protocol of a connection after a WebSocket handshake."""

    session: WebSocketSession

    def __init__(
        self,
        gateway: AsgiGateway,
        link: "Connection",
        ended: Callable[["WebSocketConnection"], None],
        *,
        turns: LoopTurns,
        partial: PartialMessages,
    ) -> None:
        """``link`` is the connection that received the handshake. ``ended`` is called once."""
        self.link = link
        self._gateway = gateway
        self._ended = ended
        self._turns = turns
        self._partial = partial
        config = link.engine.config
        self._protocol = new_protocol(config)
        self._keepalive = Keepalive(
            link.engine.loop,
            self,
            interval=config.ws_ping_interval,
            timeout=config.ws_ping_timeout,
        )
        self._progress = OutputProgress(link)  # of the close
        # A drain must end within the grace, without a cut.
        self._close_timeout = min(CLOSE_TIMEOUT, config.graceful_timeout / 2)
        # Input.
        self._unread = b""  # not parsed: the session is full, or not open yet
        self._message = bytearray()  # fragments of a message
        self._is_partial = False  # a message has begun, and counts in `_partial`
        self._is_text = False  # of that message
        self._is_reading = False  # in `read_on`
        self._is_waiting = False  # for `_take_turn`
        # Output.
        self.write_paused = False
        self._control = 0  # bytes of answers to control frames since writing paused
        self._untaken = 0  # bytes that the client had to take, at the last check of the keepalive
        # Flags.
        self._is_open = False  # the handshake is complete
        self._is_restarting = False  # a drain has closed it, or will when it is open
        self._is_failed = False  # a text message was not valid UTF-8
        self._is_ended = False  # the end of TCP has begun

    def start(self, head: RequestHead, rest: bytes) -> None:
        """Answer the handshake, or let the application do so."""
        self.link.transport.set_protocol(self)
        try:
            negotiated = negotiate(self._protocol, head)
        except HandshakeError as error:
            self.session = WebSocketSession(self._gateway, self, head, [])
            text = [(b"Content-Type", b"text/plain; charset=utf-8")]
            self.session.deny(error.status, [*text, *error.fields], f"{error}\n".encode())
            return
        self.session = WebSocketSession(self._gateway, self, head, negotiated)
        self.link.forget()
        self._unread = rest
        self.session.start()
        self.read_on()
        if self.link.engine.draining:
            self.restart()

    # Called by the transport.

    def get_buffer(self, sizehint: int) -> memoryview:
        return _read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(_read_buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Called by a `TlsTransport`, with the content of one record."""
        self._keepalive.on_bytes()
        if not self._is_ended:
            self._unread = self._unread + data if self._unread else data
            self.read_on()

    def eof_received(self) -> bool:
        """The client sends no more. Without a close frame its code is 1006 (7.1.5)."""
        if not self._is_ended:
            self.session.closed(1006)
            self.end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_ended = True
        self._release()
        self._keepalive.stop()
        self._progress.cancel()
        if not self.link.lost:
            self.link.shut_down()
        self.link.forget_socket()
        self.session.closed(1012 if self._is_restarting and self._is_open else 1006)
        self.link.parser.release()
        self._ended(self)
        if (access := self.link.engine.access) is not None:
            access.write(self.session)

    def pause_writing(self) -> None:
        self.write_paused = True
        self._control = 0
        self._untaken = self._progress.untaken()

    def resume_writing(self) -> None:
        self.write_paused = False
        self._keepalive.on_bytes()  # it has taken bytes
        self.session.resume()
        self.read_on()

    # Called by the session.

    def open(self, head: bytes) -> None:
        """Send ``head``, the 101 response: the application has accepted."""
        self._is_open = True
        self.link.write(head)
        self._keepalive.start()
        if self._is_restarting:
            self._restart_now()
        self.read_on()

    def send_text(self, text: str) -> int:
        """Send a message. Returns its size in bytes; 0 if it is dropped."""
        return self._send(self._protocol.send_text, text.encode())

    def send_binary(self, data: bytes) -> int:
        """Send a message. Returns its size in bytes; 0 if it is dropped."""
        return self._send(self._protocol.send_binary, data)

    def _send(self, send: Callable[[bytes], None], data: bytes) -> int:
        if self.is_closing:
            return 0
        send(data)
        self._flush()
        return len(data)

    @property
    def is_closing(self) -> bool:
        """Whether a close frame was sent; further messages are dropped."""
        return self._is_open and (self._is_ended or self._protocol.state is not State.OPEN)

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame and wait for the client's.

        Raises websockets.exceptions.ProtocolError for an invalid code.
        """
        if self.is_closing:
            return
        self._protocol.send_close(code, reason)
        self._flush()
        self._keepalive.stop()
        self._progress.wait(self._unanswered, self._close_timeout)

    def end(self) -> None:
        """Close TCP after the output, so that no reset overtakes it."""
        if self._is_ended:
            return
        self._is_ended = True
        self._release()
        self._keepalive.stop()
        if self.link.readable() or self._protocol.close_rcvd is None:
            self.link.linger()
            self._progress.wait(self.abort, LINGER)
        else:
            self.link.finish()
            self._progress.wait(self.abort, self._close_timeout)

    def abort(self) -> None:
        """Close at once."""
        self.link.abort()

    def read_on(self) -> None:
        """Parse as much as there is room for; pause or resume reading."""
        if self._is_reading or self._is_waiting:
            return
        self._is_reading = True
        turns, data, at, size = self._turns, self._unread, 0, SLICE
        while at < len(data) and self._has_room and not (self._is_ended or turns.is_over):
            found = self._parse(data[at : at + size])
            at += size
            turns.spend(found)
            size = SLICE if found else LONG_SLICE
        self._is_reading = False
        if self._is_ended:  # further input is dropped
            return
        self._unread = data[at:]
        self._count_partial()
        if self._is_ended:  # it has given way
            return
        if self._unread or (self._is_open and not self._has_room):
            self.link.pause_reading()
        else:
            self.link.resume_reading()
        if self._unread and self._has_room:  # for a later iteration
            self._is_waiting = True
            turns.wait(self._take_turn)

    def _take_turn(self) -> None:
        self._is_waiting = False
        self.read_on()

    # Called by a drain and by the keepalive.

    def restart(self) -> None:
        """Close with 1012; the application learns of it when the client has answered."""
        if self._is_restarting or self._is_ended:
            return
        self._is_restarting = True
        if self._is_open:
            self._restart_now()

    def _restart_now(self) -> None:
        if self.is_closing:  # by the application
            self._is_restarting = False
        else:
            self.close(CloseCode.SERVICE_RESTART)

    def send_ping(self) -> None:
        """Send a ping, unless the client has output to read first."""
        if not (self.write_paused or self.is_closing):
            self._protocol.send_ping(random.randbytes(4))
            self._flush()

    def can_answer(self) -> bool:
        """Whether the client should have answered a ping by now.

        Not while reading is paused for the application, nor while the client reads earlier output.
        """
        if self.session.full:
            return False
        if not self.write_paused:
            return True
        before, self._untaken = self._untaken, self._progress.untaken()
        return self._untaken >= before

    def keepalive_failed(self) -> None:
        """Close: the client has not answered a ping."""
        if self._protocol.state is State.OPEN:
            self._protocol.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
            self._flush()
        self.session.closed(1006, "keepalive ping timeout")
        self.end()

    # Internal.

    @property
    def _has_room(self) -> bool:
        """Whether more frames may be parsed."""
        return self._is_open and not self.session.full and self._control <= CONTROL

    def _parse(self, data: bytes) -> int:
        """Parse ``data``. Returns the number of complete frames."""
        protocol = self._protocol
        protocol.receive_data(data)
        events = protocol.events_received()
        for event in events:
            assert isinstance(event, Frame)
            self._frame_received(event)
        written = self._flush()
        if self.write_paused:
            self._control += written
        if self._is_failed or protocol.parser_exc is not None or protocol.close_rcvd is not None:
            self._closed()
        return len(events)

    def _count_partial(self) -> None:
        """Tell how much is kept here of a message, or of a long read with the handshake.

        A client has to wait for the response to its handshake (RFC 6455 4.1).
        """
        fragments, buffer = self._message, self._protocol.reader.buffer
        held = 0
        if fragments or buffer:
            held = fragments.__alloc__() + buffer.__alloc__()
        if len(self._unread) > READ:
            held += 2 * len(self._unread)  # it is copied while it is parsed
        if held:
            self._is_partial = True
            self._partial.hold(self._give_way, held)
        elif self._is_partial:
            self._is_partial = False
            self._partial.release(self._give_way)

    def _give_way(self) -> None:
        """Called by `PartialMessages`."""
        if not self._is_open:
            self.session.refuse()
            return
        if self._protocol.state is State.OPEN:
            self._protocol.fail(CloseCode.TRY_AGAIN_LATER, "short of memory")
            self._flush()
        self.session.closed(CloseCode.TRY_AGAIN_LATER, "short of memory")
        self.end()

    def _release(self) -> None:
        """Free what was received: nothing more is looked at."""
        self._unread = b""
        self._message.clear()
        self._protocol.reader.discard()
        self._partial.release(self._give_way)

    def _frame_received(self, frame: Frame) -> None:
        """Assemble messages. Fragments are copied, since each may be one byte."""
        opcode = frame.opcode
        if self._is_failed or opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if opcode is not Opcode.CONT:
            self._is_text = opcode is Opcode.TEXT
            if frame.fin:
                self._message_received(frame.data)
                return
        self._message += frame.data
        if frame.fin:
            message, self._message = self._message, bytearray()
            self._message_received(message)

    def _message_received(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_text:
            self.session.message_received(bytes(data), len(data))
            return
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError as error:
            self._is_failed = True
            self._protocol.fail(CloseCode.INVALID_DATA, error.reason)
            return
        self.session.message_received(text, len(data))

    def _flush(self) -> int:
        """Write the protocol's output. Returns the number of bytes."""
        protocol = self._protocol
        writes = protocol.data_to_send()
        if protocol.close_rcvd_then_sent and protocol.parser_exc is not None and len(writes) > 1:
            assert protocol.close_rcvd is not None
            writes[-2] = _close_frame(protocol.close_rcvd)  # the last one is the end
        data = b"".join(writes)
        self.link.write(data)
        return len(data)

    def _closed(self) -> None:
        """Handle a close frame, or a protocol error."""
        received, sent = self._protocol.close_rcvd, self._protocol.close_sent
        if self._is_restarting:
            self.session.closed(CloseCode.SERVICE_RESTART)
        elif received is not None:
            self.session.closed(received.code, received.reason)
        else:
            assert sent is not None
            self.session.closed(sent.code, sent.reason)
        self.end()

    def _unanswered(self) -> None:
        """Close: the client has not answered our close frame."""
        self.session.closed(CloseCode.SERVICE_RESTART if self._is_restarting else 1006)
        self.end()


def _close_frame(close: Close) -> bytes:
    """Make the answer to a close frame that came within a message.

    `websockets` treats it as an error (Autobahn 7.1.5 does not).
    """
    payload = b"" if close.code == CloseCode.NO_STATUS_RCVD else close.serialize()
    return bytes((0x80 | Opcode.CLOSE, len(payload))) + payload
