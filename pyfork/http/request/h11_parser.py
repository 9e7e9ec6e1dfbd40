"""A parser by h11, instead of pyfork's own (``--http h11``).

h11 splits and checks heads, and reads content, chunks and trailers. The limits are pyfork's, and
so are rules that reject well-formed targets, fields and framings: `head` interprets what h11 has
read. Nothing is cached.
"""

import sys
from typing import Any

import h11

from pyfork.errors import ProtocolError
from pyfork.http.request.chunked import EXTENSIONS
from pyfork.http.request.head import RequestHead, read_line
from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.incremental_head import HeadBuffer
from pyfork.http.request.parsing import Events, ParserState, RequestParser

_STEP = 8192  # bytes given to h11 at a time; it copies back what follows the content
_CHUNK = 20  # bytes of a chunk besides its data, without extensions
_REASON = 100  # characters of h11's messages


class H11Parser(RequestParser):
    """Reads the requests of one connection, each by a new `h11.Connection`.

    One h11.Connection for all requests would also have to see the responses.
    """

    __slots__ = ("_h11", "_size", "_spent")

    def __init__(self, reader: HeadReader, sink: Events) -> None:
        super().__init__(reader, sink)
        # For one request.
        self._h11: h11.Connection | None = None
        self._size = 0  # bytes of content in chunks
        self._spent = 0  # bytes of chunks besides content, less the necessary ones

    def _head(self, data: bytes, at: int) -> int:
        self.state = _HEAD
        partial = self._partial
        if partial is None:
            partial = self._partial = HeadBuffer(self._reader.limits)
        end = data.find(b"\r\n\r\n", at) + 4
        stop = end if end > 3 else len(data)
        behind = partial.add(data, at, stop)
        if behind is None:
            if partial.empty:
                self.state = _BETWEEN
            return stop
        reader = self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=sys.maxsize)
        reader.receive_data(partial.head)
        event = _next(reader)
        if type(event) is not h11.Request:
            raise ProtocolError(400, "no request")
        line = read_line(b"%b %b HTTP/%b" % (event.method, event.target, event.http_version))
        head = RequestHead(line, self._reader.given(list(event.headers), line))
        self._partial = None
        return self._begin(head, data, behind)

    def _begin(self, head: RequestHead, data: bytes, at: int) -> int:
        """Deliver a head, and complete content of a known length, as `Parser` does."""
        block = head.block
        length = block.content_length or 0
        self._last = not block.keep_alive
        self._pause = head.handshake
        end = at + length
        if not block.chunked and end <= len(data):
            content, behind = self._content(data, at, end)
            if behind != end:
                raise ProtocolError(400, "no agreement on the length of the content")
            self._h11 = None
            self.state = _BETWEEN
            self._sink.head_received(head, whole=True, content=content)
            return end
        self._chunked = block.chunked
        self._left = length
        self._size = self._spent = 0
        self._line = head.line
        self.state = _BODY
        self._sink.head_received(head, whole=False)
        return at

    def _body(self, data: bytes, at: int) -> int:
        end = min(len(data), at + (_STEP if self._chunked else self._left))
        content, behind = self._content(data, at, end)
        if content:
            self._sink.body_received(content)
        if behind is None:
            self._left -= 0 if self._chunked else len(content)
            return end
        self._h11, self._chunked = None, False
        self.state = _BETWEEN
        self._sink.request_complete()
        return behind

    def _content(self, data: bytes, at: int, end: int) -> tuple[bytes, int | None]:
        """Read content from ``at`` to ``end``. Returns it, and the position after it."""
        reader = self._h11
        assert reader is not None
        if at < end:
            reader.receive_data(data[at:end])
        pieces: list[bytearray] = []
        chunks, behind = 0, None
        while behind is None:
            event = _next(reader)
            if event is h11.NEED_DATA:
                break
            if type(event) is h11.Data:
                chunks += event.chunk_start
                found: Any = event  # its data is a bytearray, whatever its annotation says
                pieces.append(found.data)
            elif type(event) is h11.EndOfMessage:
                behind = end - len(reader.trailing_data[0])
                self._check_trailers(list(event.headers))
            else:
                raise ProtocolError(400, "no content")
        content = b"".join(pieces)
        if self._chunked:
            self._measure(len(content), chunks, (end if behind is None else behind) - at)
        return content, behind

    def _measure(self, size: int, chunks: int, received: int) -> None:
        """Enforce the limits of content, extensions and trailers."""
        limits = self._reader.limits
        self._size += size
        if self._size > limits.body:
            raise ProtocolError(413, "the content is too large")
        self._spent += received - size - chunks * _CHUNK
        if self._spent > EXTENSIONS + limits.head:
            raise ProtocolError(400, "too many chunk extensions or trailers")

    def _check_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
        limits = self._reader.limits
        if len(fields) > limits.fields or sum(len(n) + len(v) for n, v in fields) > limits.head:
            raise ProtocolError(400, "too many trailers")


def _next(reader: h11.Connection) -> object:
    """Return h11's next event. Raises ProtocolError."""
    try:
        return reader.next_event()
    except h11.RemoteProtocolError as error:
        raise ProtocolError(error.error_status_hint, str(error)[:_REASON]) from None


_BETWEEN, _HEAD, _BODY = ParserState.IDLE, ParserState.HEAD, ParserState.BODY
