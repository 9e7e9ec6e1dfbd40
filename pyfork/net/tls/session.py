"""TLS sessions that know what their client has sent to begin them.

OpenSSL does not tell Python which name and protocols a client asks for where it resumes a session
(see `client_hello`). Our own transport keeps the bytes that it gives to OpenSSL. A loop's transport
(``-k uvicorn``) does not, so `LoopSession` stands between its buffer and OpenSSL.
"""

import ssl
from typing import Any

from pyfork.net.client_hello import MAX_BYTES
from pyfork.net.tls.records import EMPTY_RECORDS, RECORDS, RecordCounter


class Session(ssl.SSLObject):
    """A TLS session, with what its client has sent to begin it."""

    hello: bytes | bytearray = b""
    is_misnamed = False  # the client resumes what it had under another name: begin anew


class LoopSession(Session):
    """One that a loop's transport works with."""

    _given: ssl.MemoryBIO  # what the loop has received
    _incoming: ssl.MemoryBIO  # OpenSSL's
    _outgoing: ssl.MemoryBIO
    _undecrypted: memoryview = memoryview(b"")  # what OpenSSL has not been given yet
    _records: RecordCounter
    _empty_records = 0  # since the last content

    def do_handshake(self) -> None:
        data = self._feed()
        if len(self.hello) < MAX_BYTES:
            self.hello += data
        try:
            super().do_handshake()
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError:
            if not self.is_misnamed:
                raise
            self._begin_anew()
            super().do_handshake()
        self.hello = b""
        self._empty_records = 0

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        if not self._is_fed():
            self._feed()
        while True:
            try:
                found = super().read(len, buffer)
            except ssl.SSLWantReadError:
                if self._empty_records >= EMPTY_RECORDS:
                    raise ssl.SSLError("TLS records without content") from None
                if not self._feed():
                    raise
            else:
                self._empty_records = 0
                return found

    def pending(self) -> int:
        """Return the number of bytes that wait: uvloop reads only if there are some."""
        return super().pending() + self._incoming.pending + len(self._undecrypted)

    def unwrap(self) -> None:
        self._feed()
        super().unwrap()

    def _is_fed(self) -> bool:
        return bool(super().pending() or self._incoming.pending)

    def _feed(self) -> bytes | memoryview:
        """Give OpenSSL the next records. Returns them."""
        if not self._undecrypted:
            self._undecrypted = memoryview(self._given.read())
        data = self._undecrypted
        end, count = self._records.advance(data, RECORDS)
        self._empty_records += count
        self._undecrypted = data[end:]
        self._incoming.write(data[:end])
        return data[:end]

    anew: "Context"

    def _begin_anew(self) -> None:
        """A whole handshake, for a client that resumes what it had under another name."""
        self._outgoing.read()  # the alert
        self.is_misnamed = False
        self._incoming = ssl.MemoryBIO()
        self._incoming.write(self.hello)
        anew: Any = self.anew
        self._sslobj = anew._wrap_bio(self._incoming, self._outgoing, server_side=True, owner=self)


class Context(ssl.SSLContext):
    """A context that knows the certificate it shows."""

    sslobject_class = Session
    certificate = ""  # PEM; the port's own context has none
    anew: "Context"  # of the port's own: with other keys of tickets, so that nothing is resumed
    serves_loop = False  # a loop's transports work with it, not ours

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        if not self.serves_loop:
            return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        between = ssl.MemoryBIO()
        made = super().wrap_bio(between, outgoing, server_side, server_hostname, session)
        assert isinstance(made, LoopSession)
        made.hello = bytearray()
        made.anew = self.anew
        made._records = RecordCounter()
        made._given, made._incoming, made._outgoing = incoming, between, outgoing
        return made

    def serve_loop(self) -> None:
        """From now on a loop's transports work with it."""
        self.serves_loop, self.sslobject_class = True, LoopSession
