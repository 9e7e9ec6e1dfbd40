"""Writes a response: head before content, one final response, correct framing. No WSGI or ASGI."""

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pyfork.compiled import mypyc_attr
from pyfork.http.connection.exchange import MAX_DISCARD, Exchange
from pyfork.http.errors import ResponseError
from pyfork.http.request.head import RequestHead
from pyfork.http.response.head import as_bytes

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection

log = logging.getLogger("pyfork.error")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# Bytes of content that are copied after the head; more goes to the transport separately.
_COPIED = 64 * 1024


@mypyc_attr(allow_interpreted_subclasses=True)
class ResponseWriter(Exchange):
    """An exchange that responds on a connection."""

    note = ""  # behind the target in the log, where an exception of the application is logged

    def __init__(self, connection: "Connection", head: RequestHead) -> None:
        self.connection = connection
        self.head = head

    def abandon(self) -> None:
        self.connection.engine.drop(self)

    def log_timeout(self, seconds: float, stack: list[str]) -> None:
        """Log that no response began in so many seconds, and the stack of the application."""
        line = f"{self.head.method} {self.target}"
        log.error(
            "%s: no response in %.0f s; its stack:\n%s", line, seconds, "".join(stack).rstrip()
        )

    # Called by a gateway.

    def send_continue(self) -> None:
        """Send 100 Continue to a client that waits for it (RFC 9110 10.1.1)."""
        if self.must_continue:
            self.must_continue = False
            self.connection.write(CONTINUE)

    def respond(
        self,
        status: int,
        reason: bytes | None,
        headers: Iterable[Any],
        first: bytes = b"",
        *,
        length: int | None = None,
    ) -> None:
        """Send the head and the first content in one write; see `begin`."""
        self.connection.write(self.begin(status, reason, headers, first, length=length))

    def begin(
        self,
        status: int,
        reason: bytes | None,
        headers: Iterable[Any],
        first: bytes = b"",
        *,
        length: int | None = None,
    ) -> bytes:
        """Return the head, followed by the first content.

        ``length`` is the length of all content in bytes, if known. Fields are pairs of bytes or
        text. Raises ResponseError, with nothing begun, for a head that HTTP does not allow.
        """
        heads = self.connection.engine.heads
        closing = self._should_close(length)
        response = heads.begin(self.head, status, reason, headers, closing, length)
        framed = response.body(first) if first else b""
        self.response = response
        self.length = len(first)
        return response.head + framed

    def respond_whole(
        self, status: int, reason: bytes | None, headers: Iterable[Any], content: Any
    ) -> None:
        """Send head and all content, and finish."""
        data = content if type(content) is bytes else as_bytes(content)
        connection = self.connection
        engine = connection.engine
        length = len(data)
        usual = self.body_complete and not (connection.closing or engine.draining)
        closing = False if usual else self._should_close(length)
        response = engine.heads.build_whole(self.head, status, reason, headers, closing, length)
        if response.remaining != length:  # chunked framing, or no content allowed
            data = response.body(data) + response.end()
        self.response = response
        self.length = length
        if connection.lost:
            pass
        elif length <= _COPIED:
            if engine.past_transport and not connection.write_paused:
                connection.send(response.head + data)
            else:
                connection.transport.write(response.head + data)
        else:
            connection.transport.writelines((response.head, data))
        engine.end(self)
        connection.exchange_done(response)

    def _should_close(self, length: int | None) -> bool:
        """Whether the connection closes after a response of ``length`` bytes of content."""
        connection = self.connection
        if (connection.closing or connection.engine.draining) and connection.is_last_response:
            return True
        if self.body_complete:
            return False
        left = (self.head.block.content_length or 0) - self.received
        return self.must_continue or (length is not None and left > MAX_DISCARD)

    def send_more(self, data: bytes) -> None:
        """Send more content. Raises ResponseError for bytes beyond Content-Length."""
        assert self.response is not None
        if self.finished:
            raise ResponseError("the response is complete")
        framed = self.response.body(data)
        self.length += len(data)
        if framed:
            self.connection.write(framed)

    def finish(self) -> None:
        """Complete the response. Raises ResponseError if it is shorter than Content-Length."""
        assert self.response is not None
        last = self.response.end()
        if last:
            self.connection.write(last)
        self.complete()

    def complete(self) -> None:
        """The end of the response has been written."""
        assert self.response is not None
        self.connection.engine.end(self)
        self.connection.exchange_done(self.response)

    def fail(self, status: int = 500, why: str = "the application failed") -> None:
        if self.finished:
            return
        if self.response is None and not self.connection.lost:
            self.connection.closing = True
            text = f"{HTTPStatus(status).phrase}\n".encode()
            self.respond(status, None, [(b"content-type", b"text/plain")], text, length=len(text))
            self.finish()
            return
        log.debug("cut a response short: %s", why)
        self.connection.engine.end(self)
        self.connection.exchange_cut(self)

    def refuse_response(self, error: object) -> None:
        """Log a response that violates HTTP, or an application that cannot be called; then fail."""
        log.error("%s %s: %s", self.head.method, self.head.path.decode("latin-1"), error)
        self.fail(why=str(error))

    def log_failure(self) -> None:
        """Log the current exception with method and path."""
        path = self.head.path.decode("latin-1")
        log.exception("error in the application at %s %s%s", self.head.method, path, self.note)

    # For the access log.

    @property
    def client(self) -> str:
        connection = self.connection
        if connection.trusted:
            client, _ = connection.engine.proxies.origin(self.head.block.server_fields)
            if client is not None:
                return client[0]
        return connection.peer_host

    @property
    def scheme(self) -> str:
        return self.connection.scheme
