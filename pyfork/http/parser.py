"""Requests out of bytes: where a head ends, where a body ends, and what is refused on the way.

The parser splits a stream into heads and bodies, holds the limits, and stops at the first thing
that is wrong. The meaning of a head is in `request`, chunks are in `chunked`, and a library
reads the field lines: llhttp (`fields_httptools`) or h11 (`fields_h11`). Neither sees a body, so
that framing, where smuggling lives, is the same code whichever is used.
"""

from enum import IntEnum
from typing import Protocol

from pyfork.errors import ProtocolError
from pyfork.http.chunked import Chunked
from pyfork.http.limits import Limits as Limits
from pyfork.http.partial_head import PartialHead
from pyfork.http.request import HEAD, Fields, RequestHead, begin_head, complete


class Events(Protocol):
    """Who is told, in the order of the bytes."""

    def head_received(self, head: RequestHead) -> None:
        """A head is whole and valid."""

    def body_received(self, data: bytes) -> None:
        """Some of its content; never empty."""

    def request_complete(self) -> None:
        """The content is whole: follows every head, with content or without."""


class FieldReader(Protocol):
    """What is asked of a library."""

    def split(self, block: bytes) -> Fields:
        """Name and value of each field line; names in lower case. Raises ProtocolError."""


class ParserState(IntEnum):
    """Where in the stream a parser stands."""

    BETWEEN = 0  # nothing of a next request has come
    HEAD = 1
    BODY = 2


class Parser:
    """Reads the requests of one connection."""

    __slots__ = (
        "_chunked",
        "_error",
        "_last",
        "_left",
        "_limits",
        "_partial",
        "_pause",
        "_reader",
        "_sink",
        "_small",
        "state",
    )

    def __init__(self, reader: FieldReader, sink: Events, limits: Limits) -> None:
        # For the connection's life.
        self._reader = reader
        self._sink = sink
        self._limits = limits
        self._small = min(limits.field, limits.head)  # no such block has a line too long
        # For one request.
        self.state = ParserState.BETWEEN
        self._partial: PartialHead | None = None  # a head that arrives in pieces
        self._left = 0  # bytes of a Content-Length to come
        self._chunked: Chunked | None = None
        self._pause = False  # the request is a handshake: stop behind it
        self._last = False  # nothing behind it is processed (RFC 9112 9.6)
        # How it ended.
        self._error: ProtocolError | None = None

    def feed(self, data: bytes) -> bytes:
        """Read on, and tell the sink.

        Returns b"", or what follows a WebSocket handshake, once its request is complete: the
        caller may hand that over, or feed it again and go on. What comes behind the last request
        of a connection (one with ``keep_alive`` false) is dropped.

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
            raise
        return b""

    def stop(self) -> None:
        """Drop whatever comes behind the request that is being read, or was read last."""
        self._last = True

    def _head(self, data: bytes, at: int) -> int:
        """Read a head, or some of one; the way of one that is whole, good and small."""
        if self._partial is None:
            match = HEAD.match(data, at)
            if match is not None:
                fields, end = match.span(4)
                block = match[4]
                if (
                    fields - at - 2 <= self._limits.line
                    and len(block) - 4 <= self._small
                    and block.count(b"\n") - 1 <= self._limits.fields
                ):
                    self._begin(begin_head(match), block)
                    return end
            self._partial = PartialHead(self._limits)
        partial = self._partial
        self.state = _HEAD
        found, end = partial.add(data, at)
        if found is None:
            if partial.empty:
                self.state = _BETWEEN
            return end
        self._partial = None
        assert partial.head is not None
        self._begin(partial.head, found)
        return end

    def _begin(self, head: RequestHead, block: bytes) -> None:
        """Deliver a head, with the state that it leads to: the sink may ask for it."""
        self.state = _HEAD
        complete(head, self._reader.split(block), self._limits)
        self._last = not head.keep_alive
        self._pause = head.upgrade == b"websocket"
        if head.chunked:
            self._chunked = Chunked(self._limits)
        elif head.content_length:
            self._left = head.content_length
        else:
            self.state = _BETWEEN
            self._sink.head_received(head)
            self._sink.request_complete()
            return
        self.state = _BODY
        self._sink.head_received(head)

    def _body(self, data: bytes, at: int) -> int:
        """Deliver content, and its end."""
        if self._chunked is not None:
            piece, end = self._chunked.feed(data, at)
            if piece:
                self._sink.body_received(piece)
            if not self._chunked.done:
                return end
            self._chunked = None
        else:
            piece = data[at : at + self._left]
            end = at + len(piece)
            self._left -= len(piece)
            self._sink.body_received(piece)
            if self._left:
                return end
        self.state = _BETWEEN
        self._sink.request_complete()
        return end


def make_parser(kind: str, sink: Events, limits: Limits) -> Parser:
    """A parser for one connection.

    ``kind`` is "httptools", "h11", or "auto": httptools where it is installed.
    """
    if kind != "h11":
        try:
            from pyfork.http.fields_httptools import HttptoolsFields

            return Parser(HttptoolsFields(), sink, limits)
        except ImportError:
            if kind == "httptools":
                raise
    from pyfork.http.fields_h11 import H11Fields

    return Parser(H11Fields(), sink, limits)


_BETWEEN, _HEAD, _BODY = ParserState.BETWEEN, ParserState.HEAD, ParserState.BODY
