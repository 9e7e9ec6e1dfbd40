"""One client connection: bytes in, exchanges in order, bytes out.

The connection decides what is read and how it ends; bytes after an error are never parsed. `Turns`
orders the exchanges, `ClientTransport` has the socket. There is no timer: `sweep` reads what the
connection waits for once a second.
"""

import asyncio
import logging
from math import inf
from typing import Any

from pyfork.errors import ProtocolError
from pyfork.http.connection.engine import Engine
from pyfork.http.connection.exchange import MAX_DISCARD, Exchange
from pyfork.http.connection.rejected import RejectedRequest
from pyfork.http.connection.timeouts.deadlines import AT_REST
from pyfork.http.connection.turns import Turns
from pyfork.http.request.head import RequestHead
from pyfork.http.request.parsing import ParserState
from pyfork.http.response.head import plain_error
from pyfork.net.accepted import Client

log = logging.getLogger("pyfork.error")

SLICE = 64 * 1024  # bytes that the parser gets at a time

# Requests that are parsed while they wait. Each costs the time and the memory of a head; further
# ones wait as bytes.
PIPELINED = 16

LEAVING = 0.05  # seconds between two checks for unsent output in a drain


class Connection(Turns):
    """The protocol of one HTTP/1 connection."""

    __slots__ = (
        "buffered",
        "discarded",
        "incoming",
        "parser",
        "pending_error",
        "requests_seen",
        "unparsed_input",
        "websocket_head",
    )

    def __init__(
        self, engine: Engine[Any], client: Client | None = None, *, kept: bool = False
    ) -> None:
        """``kept``: another worker has answered requests on this connection."""
        super().__init__(engine, client)
        # For the life of the connection.
        self.parser = engine.new_parser(engine.reader, self)
        # Requests.
        self.incoming: Exchange | None = None  # the exchange whose body is arriving
        # a WebSocket handshake that will be handed over
        self.websocket_head: RequestHead | None = None
        self.pending_error: ProtocolError | None = None  # is answered after the exchanges before it
        self.buffered = b""  # received and not parsed: exchanges wait
        self.requests_seen = int(kept)  # heads received
        # Flags.
        self.unparsed_input = False  # more has arrived than was parsed
        self.discarded = 0  # bytes of body dropped after an early response

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.engine.unbuffered:
            self.transport.set_write_buffer_limits(0)
        self.engine.add(self)
        if self.handing_off:  # before the transport was made
            self.finish_handoff()
        elif self.engine.draining:  # it was accepted before the drain and is idle
            self.engine.loop.call_soon(self.drain)

    def data_received(self, data: bytes) -> None:
        head = (
            self.parser.parse_whole_request(data)
            if self.fast_path and self.current is None
            else None
        )
        if head is None:
            self.fast_path = False
            self._received(data)
            return
        self.requests_seen += 1
        exchange = self.current = self.engine.new_exchange(self, head)
        block = head.block
        if length := block.content_length:
            exchange.received = length
            self._count_received(length)
            exchange.body_received(data[-length:])
        exchange.body_complete = True
        if not block.keep_alive:
            self.closing = True
        exchange.start()

    def _received(self, data: bytes) -> None:
        """Parse data that is not just the next request."""
        if self.lingering or self.pending_error is not None:
            return
        handshake = self.websocket_head  # the parser may change it below
        if self.buffered or handshake is not None:  # or a loop delivers after pause_reading
            self._keep(self.buffered + data)
            return
        self.turn_taken = False
        if self.closing or (len(data) > SLICE and len(data) > self.parser.body_remaining):
            self._parse(data)
            return
        self.unparsed_input = False
        try:
            rest = self.parser.feed(data)
        except ProtocolError as error:
            self._malformed(error)
            return
        if rest or self.waiting or self.discarded or self.websocket_head is not None:
            self._parse(self._parsed(rest))

    def eof_received(self) -> bool:
        """Handle the client's FIN: complete requests are still answered (RFC 9112 9.6)."""
        self.closing = True
        self.fast_path = False
        if self.incoming is not None and not self.incoming.body_complete:
            self._abandon_incoming()
        if self.current is not None:
            self.current.half_closed()
        return self.current is not None or bool(self.waiting)

    def connection_lost(self, exc: Exception | None) -> None:
        # else another worker has it, or it has ended already
        if not (self.lost or self.handing_off):
            self.shut_down()
        self.forget_socket()
        if self.buffered:
            self._keep(b"")
        self.engine.remove(self)
        current, self.current = self.current, None
        if current is not None and not current.finished:
            current.disconnected()
        self.disconnect_waiting()
        self.parser.release()

    # Called by the parser.

    def head_received(self, head: RequestHead, *, whole: bool, content: bytes = b"") -> None:
        if self.lingering:  # the application has closed the connection
            return
        self.requests_seen += 1
        self.fast_path = False
        block = head.block
        if block.upgrade and head.handshake and self.engine.upgrade is not None:
            self.websocket_head = head
            return
        exchange = self.engine.new_exchange(self, head)
        if whole:
            if content:
                exchange.received = len(content)
                self._count_received(len(content))
                exchange.body_received(content)
            exchange.body_complete = True
        else:
            self.incoming = exchange
            exchange.must_continue = block.expect_continue
        if not block.keep_alive:
            self.closing = True
        self.take_turn(exchange)
        if len(self.waiting) >= PIPELINED:
            self.parser.pause()

    def body_received(self, data: bytes) -> None:
        exchange = self.incoming
        if exchange is None:  # its request is not answered
            return
        exchange.received += len(data)
        self._count_received(len(data))
        exchange.must_continue = False
        if exchange.finished:
            self.discarded += len(data)
            return
        exchange.body_received(data)
        if exchange.full:
            self.update_reading()

    def request_complete(self) -> None:
        exchange, self.incoming = self.incoming, None
        if exchange is None:  # its request is not answered
            return
        exchange.body_complete = True
        exchange.must_continue = False
        if exchange.finished:
            self.discarded = 0
        else:
            exchange.request_complete()

    # Called by exchanges.

    def update_reading(self) -> None:
        """Pause or resume reading, depending on what waits."""
        stop = bool(self.waiting or self.buffered or self.websocket_head)
        if self.incoming is not None and not self.incoming.finished:
            stop = stop or self.incoming.full
        if stop:
            self.pause_reading()
        else:
            self.resume_reading()

    # Called by the engine and the sweep.

    @property
    def is_last_response(self) -> bool:
        """Whether the current exchange's response is the last one."""
        engine = self.engine
        return (self.closing or (engine.draining and engine.on_idle is None)) and not self.waiting

    @property
    def closing_input(self) -> bool:
        """Whether all further input is ignored."""
        return self.lingering or self.pending_error is not None

    @property
    def idle(self) -> bool:
        """Whether no request runs, waits or is incomplete."""
        return (
            self.current is None
            and not self.waiting
            and not self.buffered
            and self.websocket_head is None
            and not self.closing
            and not self.lingering
            and not self.handing_off
            and self.parser.state is ParserState.IDLE
            and not self.transport.is_closing()
        )

    @property
    def can_hand_off(self) -> bool:
        """Whether another worker could serve it: it is idle, and all output has been sent."""
        return self.idle and not self.unsent

    @property
    def kept(self) -> bool:
        """Whether requests were answered on it, by any worker."""
        return self.requests_seen > 0

    def drain(self) -> None:
        """Hand an idle connection to another worker, or close it if there is none.

        Bytes that the client has already sent are still answered. A client that has not sent
        anything is left to the sweep; unread bytes are left to the loop.
        """
        if not self.idle:
            return
        if self.engine.on_idle is None:
            if self.requests_seen:
                self.close_idle()
        elif self.can_hand_off:
            self.engine.on_idle(self)
        else:
            self.engine.loop.call_later(LEAVING, self.drain)

    @property
    def idle_since(self) -> float:
        """The start of idling in monotonic seconds, as the sweep saw it; infinity if not idle."""
        wait = self.wait
        return wait.since if wait is not None and wait.phase in AT_REST else inf

    def close_idle(self) -> bool:
        """Close, unless the next request has arrived. Returns whether it was closed."""
        if not self.idle or self.readable():
            return False
        self.finish()
        return True

    def forget(self) -> None:
        """Free caches for the next request."""
        self.parser.forget()
        self.gateway_cache = None

    def reject(self, error: ProtocolError) -> None:
        """Respond with ``error.status`` after the exchanges before it, then close. Parse
        nothing more."""
        if self.closing_input:
            return
        log.debug("refused %s: %d %s", self.peer_host, error.status, error)
        self.pending_error = error
        self.fast_path = False
        self._keep(b"")
        if self.incoming is not None:
            if self.incoming.finished:  # it has its response, and must not get a second one
                self.end()
                return
            self._abandon_incoming()
        if not self.lost and self.current is None and not self.waiting:
            self._answer_refusal()

    def upgrade_waiting(self) -> None:
        """Hand over a handshake that waited for a later iteration of the loop."""
        if self.websocket_head is not None and not (self.lost or self.lingering):
            data = self.buffered
            self._keep(b"")
            self._upgrade(data)

    # Internal.

    def _parse(self, data: bytes) -> None:
        """Feed the parser; input that has to wait stays in ``buffered``."""
        while data:
            if self.closing and self.incoming is None:
                self.unparsed_input = True
                return  # input after the last request is not processed (RFC 9112 9.6)
            piece, data = (data, b"") if len(data) <= SLICE else (data[:SLICE], data[SLICE:])
            self.unparsed_input = bool(data)
            try:
                rest = self.parser.feed(piece)
            except ProtocolError as error:
                self._malformed(error)
                return
            data = self._parsed(rest + data)

    def _parsed(self, data: bytes) -> bytes:
        """Act on what was parsed. Returns the part of ``data``, the remaining input, to parse
        next."""
        if self.websocket_head is not None:
            self._upgrade(data)
        elif self.discarded > MAX_DISCARD:
            self.end()
        elif self.waiting:
            self._keep(data)
            self.update_reading()
        else:
            return data
        return b""

    def _keep(self, data: bytes) -> None:
        """Keep input that has to wait, and read no more meanwhile.

        If the worker keeps too much already, it is dropped, and the connection is closed after the
        requests before it.
        """
        old, self.buffered = self.buffered, b""
        if self.engine.waiting_input.replace(old, data):
            self.buffered = data
        else:
            self._drop_input()
        if data and not self.lingering:
            self.pause_reading()

    def _drop_input(self) -> None:
        """Close after the requests that were read."""
        self.closing = self.unparsed_input = True
        self.websocket_head = None
        if self.incoming is not None and not self.incoming.finished:
            self._abandon_incoming()
        if self.current is None and not self.waiting:
            self.end()

    def _count_received(self, length: int) -> None:
        """Count bytes of request content, where metrics are on."""
        if (metrics := self.engine.metrics) is not None:
            metrics.received += length

    def _malformed(self, error: ProtocolError) -> None:
        """Reject malformed input, unless it comes after the last request."""
        if not (self.closing and self.incoming is None):
            self.reject(error)

    @property
    def is_unsettled(self) -> bool:
        return bool(self.buffered or self.read_paused or self.pending_error or self.websocket_head)

    def between_turns(self) -> None:
        if self.current is None or self.current is self.incoming:
            self._read_on()
        if not self.handing_off:
            self.update_reading()

    def _read_on(self) -> None:
        """Continue with the input after the requests that were started."""
        if self.pending_error is not None and not self.waiting:
            self._answer_refusal()
        elif self.websocket_head is not None:
            data = self.buffered
            self._keep(b"")
            self._upgrade(data)
        elif self.closing and not self.waiting and self.incoming is None:
            self.unparsed_input = self.unparsed_input or bool(
                self.buffered
            )  # input after the last request is not processed
            self._keep(b"")
            self.end()
        elif self.buffered and not self.waiting:
            data = self.buffered
            self._keep(b"")
            self._parse(data)
        elif self.engine.draining:
            self.drain()

    def _upgrade(self, data: bytes) -> None:
        """Hand the connection over after earlier responses.

        Its new owner learns of the transport's buffer by callbacks. The buffer is below the
        high-water mark then.
        """
        if self.current is not None or self.waiting or self.write_paused:
            self._keep(data)
            return
        head, self.websocket_head = self.websocket_head, None
        assert head is not None
        assert self.engine.upgrade is not None
        self.handing_off = True  # ends `drain`'s wait for unsent output
        if not self.engine.upgrade(self, head, data):
            self.handing_off, self.websocket_head = False, head
            self.pause_reading()
            self._keep(data)

    def _abandon_incoming(self) -> None:
        """End the exchange whose body can never be complete."""
        exchange, self.incoming = self.incoming, None
        assert exchange is not None
        if exchange in self.waiting:
            self.waiting.remove(exchange)
        elif exchange is self.current:
            exchange.disconnected()
            if exchange.response is None:
                exchange.abandon()
                self.current = None
            elif not exchange.finished:
                exchange.fail(why="the request's body is broken")

    def _answer_refusal(self) -> None:
        error = self.pending_error
        assert error is not None
        if self.lingering or self.transport.is_closing():
            return  # it has been answered, or an earlier response was cut
        engine = self.engine
        refused = RejectedRequest(self.peer_host, self.scheme, error, self.parser.line)
        self.write(
            plain_error(error.status, str(error), refused.method, **engine.heads.server_lines)
        )
        if engine.access is not None:
            engine.access.write(refused)
        self.linger()

    def end(self) -> None:
        """Close after the output; linger if the client may still be sending."""
        if self.lost or self.lingering:
            return
        between = self.parser.state is ParserState.IDLE
        if between and not (self.engine.draining or self.unparsed_input or self.readable()):
            self.finish()
        else:
            self.linger()
