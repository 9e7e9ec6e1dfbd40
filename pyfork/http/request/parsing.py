"""The interface between a parser and its connection: events and feeding.

There are two parsers, `parser` and `h11_parser`. Order, limits, ends and events are common to
both, and here.
"""

from enum import IntEnum
from typing import Protocol

from pyfork.errors import ProtocolError
from pyfork.http.request.head import RequestHead, RequestLine, read_start
from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.incremental_head import HeadBuffer


class Events(Protocol):
    """The receiver of events, in the order of the bytes."""

    def head_received(self, head: RequestHead, *, whole: bool, content: bytes = b"") -> None:
        """A head is complete and valid. ``whole``: so is its ``content``."""

    def body_received(self, data: bytes) -> None:
        """Part of the content; never empty."""

    def request_complete(self) -> None:
        """The content of a head that was not ``whole`` is complete."""


class _NoEvents:
    """The receiver after `release`."""

    def head_received(self, head: RequestHead, *, whole: bool, content: bytes = b"") -> None:
        pass

    def body_received(self, data: bytes) -> None:
        pass

    def request_complete(self) -> None:
        pass


class ParserState(IntEnum):
    """The position of a parser in the stream."""

    IDLE = 0  # nothing of the next request has arrived
    HEAD = 1
    BODY = 2


class RequestParser:
    """Reads the requests of one connection. A parser implements `_head` and `_body`."""

    __slots__ = (
        "_chunked",
        "_error",
        "_last",
        "_left",
        "_line",
        "_partial",
        "_pause",
        "_reader",
        "_sink",
        "state",
    )

    def __init__(self, reader: HeadReader, sink: Events) -> None:
        # For the life of the connection.
        self._reader = reader
        self._sink = sink
        # For one request.
        self.state = ParserState.IDLE
        self._line: RequestLine | None = None  # of arriving content, or of a rejected request
        self._partial: HeadBuffer | None = None  # a head that arrives in pieces
        self._left = 0  # bytes of a Content-Length to come
        self._chunked = False  # the content that arrives has no known length
        self._pause = False  # stop after this head: it is a handshake, or the sink asks for it
        self._last = False  # nothing after it is processed (RFC 9112 9.6)
        # The end.
        self._error: ProtocolError | None = None

    def parse_whole_request(self, data: bytes) -> RequestHead | None:
        """Return the head of ``data`` if it is one whole request; the sink is not called.

        Content as long as the Content-Length ends ``data``. Returns None for all else, which must
        be fed.
        """
        return None

    def feed(self, data: bytes) -> bytes:
        """Parse ``data`` and call the sink.

        Returns b"", or the bytes after a head: that of a WebSocket handshake, or one at which the
        sink called `pause`. The caller may hand those over, or feed them again. Bytes after the
        last request of a connection (one that is not kept alive) are dropped.

        Raises ProtocolError, and again at each later call. Requests that were complete before the
        error have been delivered.
        """
        if self._error is not None:
            raise self._error
        at, end = 0, len(data)
        try:
            while at < end:
                if self.state is _BODY:
                    at = self._body(data, at)
                elif self._last:
                    break
                else:
                    at = self._head(data, at)
                    if self._pause:
                        self._pause = False
                        return data[at:]
        except ProtocolError as error:
            self._error = error
            if self.state is _HEAD and self._partial is None:
                self._line = read_start(data[at : data.find(b"\r\n", at)])
            self.forget()
            raise
        return b""

    def pause(self) -> None:
        """Stop after the head that is being delivered; `feed` returns what is behind it."""
        self._pause = True

    @property
    def line(self) -> RequestLine | None:
        """The request line that arrives or was rejected, as far as it was read.

        None between requests, and if not even a method was read.
        """
        if self.state is _HEAD and self._partial is not None:
            return self._partial.start_of_line()
        return None if self.state is _BETWEEN else self._line

    @property
    def body_remaining(self) -> int:
        """Bytes to come of content with a known length."""
        return self._left if self.state is _BODY and not self._chunked else 0

    def release(self) -> None:
        """Stop calling the sink, which breaks a reference cycle."""
        self._sink = _NO_EVENTS
        self.forget()

    def forget(self) -> None:
        """Drop the cache of the last head."""

    def _head(self, data: bytes, at: int) -> int:
        """Read a head from ``at``, or part of one. Returns the position reached."""
        raise NotImplementedError

    def _body(self, data: bytes, at: int) -> int:
        """Read content from ``at``. Returns the position reached."""
        raise NotImplementedError


_NO_EVENTS = _NoEvents()
_BETWEEN, _HEAD, _BODY = ParserState.IDLE, ParserState.HEAD, ParserState.BODY
