"""TLS between a client's socket and its connection.

A `TlsTransport` is the protocol of the socket's transport, and the transport of the connection.
With our own transport instead of the loop's, a connection can close as one without TLS does: it
sends close_notify and FIN and drops further input, so that no reset overtakes the response (RFC
9112 9.6 and 9.8). It costs no more: loops do the same work (a `MemoryBIO` for each direction) with
further buffers.
"""

import asyncio
import contextlib
import logging
import os
import ssl
import time
from typing import Any, cast

from pyfork.http.connection.timeouts.deadlines import LINGER
from pyfork.http.request.head import RequestLine, read_start
from pyfork.http.response.head import plain_error
from pyfork.http.tls.client_socket import HandshakeOwner, TlsClientSocket
from pyfork.ipc.metric_cells import TLS_HANDSHAKES
from pyfork.net.client_hello import MAX_BYTES
from pyfork.net.tls.records import EMPTY_RECORDS, RECORDS, RecordCounter
from pyfork.net.tls.session import Context, Session

log = logging.getLogger("pyfork.error")

READ = 64 * 1024  # bytes of plain text per read; a record has 16 KiB at most

# Bytes that are read from the socket at once. It bounds what a paused connection keeps.
SOCKET_READ = 32 * 1024
_read_buffer = memoryview(bytearray(SOCKET_READ))  # of all transports: it is copied from at once

ANSWERS = 16 * 1024  # bytes of answers to such records that a client may leave unread


class TlsTransport(TlsClientSocket):
    """One client's TLS session."""

    __slots__ = (
        "_answers",
        "_empty_records",
        "_eof_received",
        "_eof_written",
        "_held",
        "_incoming",
        "_outgoing",
        "_paused",
        "_protocol",
        "_records",
        "_rest",
        "_scheduled",
        "_session",
        "_undecrypted",
        "_write_paused",
    )

    def __init__(self, handshakes: HandshakeOwner) -> None:
        super().__init__(handshakes)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = self._new_session(handshakes.context)
        self._session.hello = bytearray()
        self._protocol: asyncio.Protocol | None = None  # None during the handshake
        self._paused = False  # the protocol has paused reading
        self._eof_written = False
        self._held = False  # reading from the socket is paused
        self._eof_received = False
        self._rest = b""  # encrypted by `write_now`, and not taken by the socket
        self._records = RecordCounter()
        self._empty_records = 0  # since the last content
        self._undecrypted: bytes | memoryview = b""  # for a later loop iteration
        self._scheduled = False  # `_next_turn` is scheduled
        self._write_paused = False
        self._answers = 0  # bytes of answers to records without content since writing paused

    @property
    def has_pending(self) -> bool:
        """Whether received bytes have not been delivered yet."""
        return bool(self._undecrypted or self._incoming.pending or self._session.pending())

    # Called by the socket's transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)
        handshakes = self._handshakes
        handshakes.open[self] = time.monotonic()
        if self._closing:  # released before it was made
            self.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(_read_buffer[:nbytes])
        if self._closing or self._eof_written or self._eof_received:
            return
        if not self._begun:
            self._begun = True
            if data[:1].isalpha():  # TLS begins with byte 0x16, HTTP with a method
                self._refuse(read_start(data))
                return
        if self._undecrypted or self._paused:  # a loop may deliver after pause_reading
            self._undecrypted = bytes(self._undecrypted) + data
        elif self._protocol is None and not self._handshakes.may_go_on(self.take_turn):
            self._undecrypted = data
            self._scheduled = True
            self._hold()
        else:
            self._decrypt(data)

    def eof_received(self) -> bool:
        """Handle the client's FIN, with or without close_notify: HTTP has its own framing."""
        if self._protocol is None:
            return False
        if not (self._eof_received or self._end_of_input()):
            self.close()  # with close_notify, which the socket's transport does not send
        return not self._closing

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if self._protocol is None:
            self._handshakes.lost(self)
        else:
            self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._write_paused = True
        self._answers = 0
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._protocol is not None:
            self._protocol.resume_writing()

    # Internal.

    def _decrypt(self, data: bytes | memoryview) -> None:
        """Pass a limited number of records of ``data`` to OpenSSL."""
        end, count = self._records.advance(data, RECORDS)
        self._empty_records += count
        self._undecrypted = memoryview(data)[end:] if end < len(data) else b""
        if self._undecrypted:
            self._hold()
            data = memoryview(data)[:end]
        self._incoming.write(data)
        if self._protocol is not None:
            self._deliver()
            return
        if len(self._session.hello) < MAX_BYTES:
            self._session.hello += data
        self._shake_hands()

    def take_turn(self) -> None:
        """Go on with the handshake, which waited for a later iteration of the loop."""
        if self._handshakes.may_go_on(self.take_turn):
            self._next_turn()

    def _next_turn(self) -> None:
        self._scheduled = False
        if self._undecrypted and not (self._paused or self._closing or self._eof_written):
            self._decrypt(self._undecrypted)

    def _read_on(self) -> None:
        """Continue with undecrypted bytes, or read from the socket."""
        if self._paused or self._closing:
            return
        if self._undecrypted:
            if not self._scheduled:
                self._scheduled = True
                self._handshakes.engine.loop.call_soon(self._next_turn)
        elif self._held:
            self._held = False
            self._socket.resume_reading()

    def _hold(self) -> None:
        """Pause reading from the socket."""
        if not self._held:
            self._held = True
            self._socket.pause_reading()

    def _shake_hands(self) -> None:
        """Continue the handshake; when it is complete, make the connection."""
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            self._read_on()
            return
        except ssl.SSLError as error:
            if self._session.is_misnamed:
                self._begin_anew()
                return
            log.debug("no TLS with %s: %s", self.peer, error)
            self._flush()  # sends the alert
            self._socket.close()
            return
        handshakes = self._handshakes
        del handshakes.open[self]
        handshakes.engine.row.count(TLS_HANDSHAKES)
        self._session.hello = b""
        self._empty_records = 0
        self._flush()
        self._protocol = connection = handshakes.new_connection(handshakes.engine)
        connection.connection_made(self)
        if not self._paused:
            self._deliver()

    def _new_session(self, context: Context) -> Session:
        made = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        return cast(Session, made)

    def _begin_anew(self) -> None:
        """Restart with a full handshake: the client resumes a session of another name."""
        hello = self._session.hello
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = self._new_session(self._handshakes.context.anew)
        self._incoming.write(hello)
        self._shake_hands()

    def _refuse(self, line: RequestLine | None) -> None:
        """Answer plain HTTP with an error in plain HTTP."""
        self._eof_written = True
        engine = self._handshakes.engine
        why = "this port speaks TLS: write https://"
        method = "" if line is None else line.method
        self._socket.write(plain_error(400, why, method, **engine.heads.server_lines))
        self._socket.write_eof()
        engine.loop.call_later(LINGER, self.abort)

    def _deliver(self) -> None:
        """Decrypt and deliver input until the protocol pauses."""
        session, incoming = self._session, self._incoming
        while not (self._paused or self._closing or self._eof_written or self._eof_received):
            try:
                data = session.read(READ)
            except ssl.SSLWantReadError:
                if self._empty_records >= EMPTY_RECORDS:
                    log.debug("%s sends TLS records without content", self.peer)
                    self.abort()
                break
            except ssl.SSLError as error:
                log.debug("TLS with %s is broken: %s", self.peer, error)
                self._flush()
                self.abort()
                return
            if not data:
                self._undecrypted = b""
                if not self._end_of_input():
                    self.close()
                break
            self._empty_records = 0
            cast(asyncio.Protocol, self._protocol).data_received(data)
            if not (incoming.pending or session.pending()):
                break
        if self._outgoing.pending:  # an answer to a KeyUpdate
            self._answer()
        self._read_on()

    def _answer(self) -> None:
        """Send OpenSSL's own answers to a client that reads them."""
        if self._write_paused:
            self._answers += self._outgoing.pending
        if self._answers > ANSWERS:
            log.debug("%s reads no answers to its TLS records", self.peer)
            self.abort()
        else:
            self._flush()

    def _end_of_input(self) -> bool:
        """Whether the protocol wants to write on."""
        self._eof_received = True
        return bool(cast(asyncio.Protocol, self._protocol).eof_received())

    def _flush(self) -> None:
        if self._outgoing.pending or self._rest:
            self._socket.write(self._rest + self._outgoing.read())
            self._rest = b""

    def _send_close_notify(self) -> None:
        """Send close_notify: the client can tell a complete response from a cut one."""
        if self._protocol is None or self._eof_written:
            return
        self._eof_written = True
        with contextlib.suppress(ssl.SSLError):  # the client need not have sent its own
            self._session.unwrap()
        self._flush()

    # Called by the protocol.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._eof_written or not data:
            return
        try:
            sent = self._session.write(data)
            while sent < len(data):
                data = memoryview(data)[sent:]
                sent = self._session.write(data)
        except ssl.SSLError as error:
            log.debug("TLS with %s is broken: %s", self.peer, error)
            self.abort()
            return
        self._flush()

    def write_now(self, data: bytes | memoryview) -> int:
        """`ClientTransport.write_now`: encrypt no more than the socket takes, up to one piece
        of ``data``."""
        if self._closing or self._eof_written:
            raise ConnectionError("the connection is closing")
        sent = 0
        while self._push() and sent < len(data):
            sent += self._session.write(data[sent : sent + READ])
            self._rest = self._outgoing.read()
        return sent

    def _push(self) -> bool:
        """Write encrypted bytes directly to the socket. Returns whether all were taken.

        The loop passes the rest to the transport later.
        """
        fd = self._socket.get_extra_info("socket").fileno()
        while self._rest:
            try:
                self._rest = self._rest[os.write(fd, self._rest) :]
            except BlockingIOError:
                self._handshakes.engine.loop.call_soon(self._flush)
                return False
        return True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Close our half, of TLS and TCP; further input is not decrypted."""
        self._send_close_notify()
        self._undecrypted = b""
        if not self._closing:
            self._socket.write_eof()
            self._read_on()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._send_close_notify()
            self._socket.close()

    def abort(self) -> None:
        """Close without close_notify: the client sees that the end is not intended."""
        self._closing = self._eof_written = True
        self._socket.abort()

    def is_closing(self) -> bool:
        return self._closing or self._socket.is_closing()

    def pause_reading(self) -> None:
        if not self._paused and not self._closing:
            self._paused = True
            self._hold()

    def resume_reading(self) -> None:
        if self._paused and not self._closing:
            self._paused = False
            if self.has_pending:  # these are delivered before the socket is read again
                self._handshakes.engine.loop.call_soon(self._deliver)
            elif self._held:
                self._held = False
                self._socket.resume_reading()

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def get_write_buffer_size(self) -> int:
        return self._socket.get_write_buffer_size() + len(self._rest)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast(asyncio.Protocol, self._protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._session
        if name == "sslcontext":
            return self._session.context
        return self._socket.get_extra_info(name, default)
