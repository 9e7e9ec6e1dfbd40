"""TLS sessions that know what their client has sent to begin them.

OpenSSL does not tell Python which name and protocols a client asks for where it resumes a session
(see `client_hello`). Our own transport keeps the bytes that it gives to OpenSSL. A loop's transport
(``-k uvicorn``) does not, so `LoopSession` stands between its buffer and OpenSSL.
"""

import ssl
from typing import Any

from pyfork.net.client_hello import MAX_BYTES


class Session(ssl.SSLObject):
    """A TLS session, with what its client has sent to begin it."""

    hello: bytes | bytearray = b""
    is_misnamed = False  # the client resumes what it had under another name: begin anew


class LoopSession(Session):
    """One that a loop's transport works with."""

    _given: ssl.MemoryBIO  # what the loop has received
    _incoming: ssl.MemoryBIO  # OpenSSL's
    _outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        data = self._take()
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

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        self._take()
        return super().read(len, buffer)

    def pending(self) -> int:
        """What may be read, and what OpenSSL was given: uvloop reads only if there is some."""
        return super().pending() + self._incoming.pending

    def unwrap(self) -> None:
        self._take()
        super().unwrap()

    def _take(self) -> bytes:
        """Hand over what the loop has received."""
        data = self._given.read()
        if data:
            self._incoming.write(data)
        return data

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
        made._given, made._incoming, made._outgoing = incoming, between, outgoing
        return made

    def serve_loop(self) -> None:
        """From now on a loop's transports work with it."""
        self.serves_loop, self.sslobject_class = True, LoopSession
