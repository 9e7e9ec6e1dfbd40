"""What a parser is to its connection: the events that it tells of, and how it goes on.

`parser` and `h11_parser` are the two that there are. Both read heads and content out of the same
bytes; order, limits, ends and what is told of them are the same, and live here.
"""

from enum import IntEnum
from typing import Protocol

from pyfork.errors import ProtocolError
from pyfork.http.request.head import RequestHead, RequestLine, read_start
from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.incremental_head import HeadBuffer


class Events(Protocol):
    """Who is told, in the order of the bytes."""

    def head_received(self, head: RequestHead, *, whole: bool, content: bytes = b"") -> None:
        """A head is complete and valid. ``whole``: and so is its ``content``."""

    def body_received(self, data: bytes) -> None:
        """Some of its content; never empty."""

    def request_complete(self) -> None:
        """The content of a head that did not come ``whole`` is complete."""


class _Nobody:
    """Who is told when the sink is gone."""

    def head_received(self, head: RequestHead, *, whole: bool, content: bytes = b"") -> None:
        pass

    def body_received(self, data: bytes) -> None:
        pass

    def request_complete(self) -> None:
        pass


class ParserState(IntEnum):
    """Where in the stream a parser stands."""

    IDLE = 0  # nothing of a next request has come
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
        # For the connection's life.
        self._reader = reader
        self._sink = sink
        # For one request.
        self.state = ParserState.IDLE
        self._line: RequestLine | None = None  # of content that arrives, or of what was refused
        self._partial: HeadBuffer | None = None  # a head that arrives in pieces
        self._left = 0  # bytes of a Content-Length to come
        self._chunked: object = None  # what reads a content in chunks
        self._pause = False  # the request is a handshake: stop behind it
        self._last = False  # nothing behind it is processed (RFC 9112 9.6)
        # How it ended.
        self._error: ProtocolError | None = None

    def parse_whole_request(self, data: bytes) -> RequestHead | None:
        """The head of ``data``, if that is one whole request; the sink is not told of it.

        Its content, as long as its Content-Length, ends ``data``. None for whatever is to be fed.
        """
        return None

    def feed(self, data: bytes) -> bytes:
        """Read on, and tell the sink.

        Returns b"", or what follows a WebSocket handshake, once its request is complete: the
        caller may hand that over, or feed it again and go on. What comes behind the last request
        of a connection (one that is not kept alive) is dropped.

        Raises ProtocolError, and the same again whenever it is fed after that. Requests that
        were complete before the error have been delivered.
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

    @property
    def line(self) -> RequestLine | None:
        """The request line of what arrives or was refused, as far as it was read.

        None between requests, and where not even a method was read.
        """
        if self.state is _HEAD and self._partial is not None:
            return self._partial.start_of_line()
        return None if self.state is _BETWEEN else self._line

    @property
    def body_remaining(self) -> int:
        """Bytes that are still to come of content whose length was said."""
        return self._left if self.state is _BODY and self._chunked is None else 0

    def release(self) -> None:
        """Tell the sink no more, which then is in no cycle: it is freed without the collector."""
        self._sink = _NOBODY
        self.forget()

    def forget(self) -> None:
        """Free what is remembered of the last head."""

    def _head(self, data: bytes, at: int) -> int:
        """Read a head from ``at`` on, or some of one. Returns how far that went."""
        raise NotImplementedError

    def _body(self, data: bytes, at: int) -> int:
        """The same of content."""
        raise NotImplementedError


_NOBODY = _Nobody()
_BETWEEN, _HEAD, _BODY = ParserState.IDLE, ParserState.HEAD, ParserState.BODY
