"""Requests out of bytes: where a head ends, where a body ends, and what is refused on the way.

The parser splits a stream into heads and bodies, holds the limits, and stops at the first thing
that is wrong. Heads are read by `reader`, their meaning is in `request`, chunks are in `chunked`.
"""

from enum import IntEnum
from typing import Protocol

from pyfork.errors import ProtocolError
from pyfork.http.chunked import Chunked
from pyfork.http.partial_head import PartialHead
from pyfork.http.reader import HeadReader
from pyfork.http.request import FieldBlock, RequestHead, RequestLine, read_start

_SHORT = 4096  # bytes of a request that is remembered with its content


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

    BETWEEN = 0  # nothing of a next request has come
    HEAD = 1
    BODY = 2


class Parser:
    """Reads the requests of one connection."""

    __slots__ = (
        "_again",
        "_behind",
        "_chunked",
        "_error",
        "_last",
        "_left",
        "_line",
        "_partial",
        "_pause",
        "_reader",
        "_same",
        "_seen",
        "_sink",
        "state",
    )

    def __init__(self, reader: HeadReader, sink: Events) -> None:
        # For the connection's life.
        self._reader = reader
        self._sink = sink
        # Of the last head: its field lines, unless there is more to them than how long the content
        # is, and what they were read as. Most clients send the same ones again.
        self._seen: bytes | None = None
        self._same: bytes | None = None  # all of it, if it came twice and is short
        self._again = _NOTHING
        self._behind = 0  # bytes from the end of a request line to that of the content
        # For one request.
        self.state = ParserState.BETWEEN
        self._partial: PartialHead | None = None  # a head that arrives in pieces
        self._line: RequestLine | None = None  # of content that arrives, or of what was refused
        self._left = 0  # bytes of a Content-Length to come
        self._chunked: Chunked | None = None
        self._pause = False  # the request is a handshake: stop behind it
        self._last = False  # nothing behind it is processed (RFC 9112 9.6)
        # How it ended.
        self._error: ProtocolError | None = None

    def single(self, data: bytes) -> RequestHead | None:
        """The head of ``data``, if that is one whole request; the sink is not told of it.

        Its content, as long as its Content-Length, ends ``data``. None for whatever is to be fed.
        """
        if self.state is not _BETWEEN:
            return None
        if data == self._same:
            return self._again
        stop = data.find(b"\r\n")
        seen = self._seen
        if (
            seen is not None
            and data.startswith(seen, stop + 2)
            and stop + self._behind == len(data)
        ):
            head = self._again
            line = self._reader.known.get(data[:stop])
            if head.line is line:
                if len(data) <= _SHORT:
                    self._same = data
                return head
            self._same = None
            if line is not None:
                head = self._again = RequestHead(line, head.block)
                return head
        return self._without_content(data)

    def _without_content(self, data: bytes) -> RequestHead | None:
        """The same, of a request that says nothing of content."""
        end = len(data) - 4
        if self._last or data.find(b"\r\n\r\n") != end:
            return None
        try:
            read = self._reader
            found = read.first(data, end) if self._seen is None else read.whole(data, 0, end)
        except ProtocolError:
            return None
        if found is None:
            return None
        head, text = found
        block = head.block
        if block.chunked or block.upgrade or block.content_length:
            return None
        self._remember(head, text, 0)
        return head

    def release(self) -> None:
        """Tell the sink no more, which then is in no cycle: it is freed without the collector."""
        self._sink = _NOBODY
        self.forget()

    @property
    def owed(self) -> int:
        """Bytes that are still to come of content whose length was said."""
        return self._left if self.state is _BODY and self._chunked is None else 0

    def forget(self) -> None:
        """Free what is remembered of the last head."""
        self._seen, self._same, self._again = None, None, _NOTHING

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
            return self._partial.line or self._partial.start_of_line()
        return None if self.state is _BETWEEN else self._line

    def _head(self, data: bytes, at: int) -> int:
        """Read a head, or some of one."""
        self.state = _HEAD
        end = data.find(b"\r\n\r\n", at)
        if self._partial is None:
            if end >= 0:
                found = self._reader.whole(data, at, end)
                if found is not None:
                    return self._begin(*found, data, end + 4)
            self._partial = PartialHead(self._reader)
        partial = self._partial
        # No head ends later: what is behind it is not copied for it.
        block, end = partial.add(data, at, end + 4 if end >= 0 else len(data))
        if block is None:
            if partial.empty:
                self.state = _BETWEEN
            return end
        assert partial.line is not None
        head = RequestHead(partial.line, self._reader.block(block, partial.line))
        self._partial = None
        return self._begin(head, block, data, end)

    def _begin(self, head: RequestHead, text: bytes, data: bytes, at: int) -> int:
        """Deliver a head, with the state that it leads to: the sink may ask for it.

        ``text`` is its field lines; its content begins in ``data`` at ``at``. Returns where that
        ended, if it is there, else ``at``.
        """
        block = head.block
        length = block.content_length or 0
        self._remember(head, text, length)
        self._pause = head.handshake
        end = at + length
        if not block.chunked and end <= len(data):
            self.state = _BETWEEN
            self._sink.head_received(head, whole=True, content=data[at:end])
            return end
        if block.chunked:
            self._chunked = Chunked(self._reader.limits)
        self._left = length
        self._line = head.line
        self.state = _BODY
        self._sink.head_received(head, whole=False)
        return at

    def _remember(self, head: RequestHead, text: bytes, length: int) -> None:
        """Of its field lines, unless there is more to them than the ``length`` of the content."""
        block, line = head.block, head.line
        self._last = not block.keep_alive
        if (
            head.usual
            and not (block.chunked or block.upgrade or block.expect_continue)
            and not line.authority  # which has a say in what the fields mean
        ):
            self._seen, self._same, self._again = text, None, head
            self._behind = 2 + len(text) + length
        else:
            self.forget()

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


_NOBODY = _Nobody()
_NOTHING = RequestHead(RequestLine("GET", b"/", "1.1"), FieldBlock({}, keep_alive=True))
_BETWEEN, _HEAD, _BODY = ParserState.BETWEEN, ParserState.HEAD, ParserState.BODY
