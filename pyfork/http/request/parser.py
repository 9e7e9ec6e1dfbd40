"""pyfork's HTTP/1 parser: splits a stream into heads and bodies, and stops at the first error.

`parsing` defines the interface to a connection. `head_reader` reads heads, `head` interprets them,
`chunked` reads chunks.
"""

from pyfork.errors import ProtocolError
from pyfork.http.request.chunked import Chunked
from pyfork.http.request.field_template import FieldTemplate
from pyfork.http.request.head import FieldBlock, RequestHead, RequestLine
from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.incremental_head import IncrementalHead
from pyfork.http.request.parsing import Events, ParserState, RequestParser

_SHORT = 4096  # bytes of a request that is cached with its content, and of a template

# A template is dropped after so many heads that do not match; a new one is made after so many.
_MISFITS = 4
_PATIENCE = 16


class Parser(RequestParser):
    """Reads the requests of one connection."""

    __slots__ = (
        "_chunks",
        "_last_fields",
        "_last_head",
        "_last_length",
        "_last_request",
        "_misfits",
        "_patience",
        "_template",
    )

    def __init__(self, reader: HeadReader, sink: Events) -> None:
        super().__init__(reader, sink)
        # Cache of the last head: field lines and their parsed form, unless a field besides
        # Content-Length affects framing. Most clients repeat them.
        self._last_fields: bytes | None = None
        self._last_request: bytes | None = None  # all of it, if it was repeated and is short
        self._last_head = _NOTHING
        self._last_length = 0  # bytes from the end of the request line to that of the content
        self._chunks: Chunked | None = None  # the reader of chunked content
        # For heads that differ from an earlier one in a few values.
        self._template: FieldTemplate | None = None
        self._misfits = 0
        self._patience = 0  # heads to read before the next template

    def parse_whole_request(self, data: bytes) -> RequestHead | None:
        if self.state is not _BETWEEN:
            return None
        if data == self._last_request:
            return self._last_head
        stop = data.find(b"\r\n")
        seen = self._last_fields
        if (
            seen is not None
            and data.startswith(seen, stop + 2)
            and stop + self._last_length == len(data)
        ):
            head = self._last_head
            line = self._reader.known.get(data[:stop])
            if head.line is line:
                if len(data) <= _SHORT:
                    self._last_request = data
                return head
            self._last_request = None
            if line is None:
                line = self._read_line(data[:stop])
            if line is not None:
                head = self._last_head = RequestHead(line, head.block)
                return head
        if self._template is not None or (seen is not None and self._new_template()):
            assert self._template is not None
            similar = self._reader.read_similar(data, stop, self._template)
            if similar is not None:
                text = similar.block.text
                self._last_fields, self._last_head = text, similar
                self._last_request = None
                self._last_length = 2 + len(text)
                return similar
            self._misfits += 1
            if self._misfits == _MISFITS:
                self._template, self._patience = None, _PATIENCE
        return self._parse_bodyless(data)

    def _read_line(self, text: bytes) -> RequestLine | None:
        """Parse a request line that is not cached, if the last fields mean the same with it."""
        if len(text) > self._reader.limits.line:
            return None
        try:
            line = self._reader.read_line(text)
        except ProtocolError:
            return None
        return line if line.is_usual else None

    def _parse_bodyless(self, data: bytes) -> RequestHead | None:
        """As `parse_whole_request`, for a request without framing fields."""
        end = len(data) - 4
        if self._last or data.find(b"\r\n\r\n") != end:
            return None
        try:
            read = self._reader
            found = (
                read.read_first(data, end)
                if self._last_fields is None
                else read.read_complete(data, 0, end)
            )
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

    def _new_template(self) -> bool:
        """Make a template of the last head, unless earlier ones rarely matched. Returns
        whether it did."""
        block = self._last_head.block
        if self._patience or block.framed or len(block.text) > _SHORT:
            self._patience = max(self._patience - 1, 0)
            return False
        self._template = self._reader.template(block)
        self._misfits = 0
        return True

    def forget(self) -> None:
        self._last_fields, self._last_request, self._last_head = None, None, _NOTHING
        self._template = None

    def _head(self, data: bytes, at: int) -> int:
        self.state = _HEAD
        end = data.find(b"\r\n\r\n", at)
        if self._partial is None:
            if end >= 0:
                found = self._reader.read_complete(data, at, end)
                if found is not None:
                    return self._begin(*found, data, end + 4)
            self._partial = IncrementalHead(self._reader)
        partial = self._partial
        assert isinstance(partial, IncrementalHead)
        # No head ends later, so bytes beyond are not copied.
        stop = end + 4 if end >= 0 else len(data)
        behind = partial.add(data, at, stop)
        if behind is None:
            if partial.empty:
                self.state = _BETWEEN
            return stop
        block = partial.block
        assert partial.line is not None
        head = RequestHead(partial.line, self._reader.read_block(block, partial.line))
        self._partial = None
        return self._begin(head, block, data, behind)

    def _begin(self, head: RequestHead, text: bytes, data: bytes, at: int) -> int:
        """Deliver a head after setting the state, which the sink may read.

        ``text`` has its field lines; content begins in ``data`` at ``at``. Returns the position
        after complete content, else ``at``.
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
        self._chunked = block.chunked
        if block.chunked:
            self._chunks = Chunked(self._reader.limits)
        self._left = length
        self._line = head.line
        self.state = _BODY
        self._sink.head_received(head, whole=False)
        return at

    def _remember(self, head: RequestHead, text: bytes, length: int) -> None:
        """Cache field lines, unless a field besides the ``length`` of content affects framing."""
        block, line = head.block, head.line
        self._last = not block.keep_alive
        if (
            head.is_simple
            and not (block.chunked or block.upgrade or block.expect_continue)
            and not line.authority  # an absolute target changes the meaning of Host
        ):
            self._last_fields, self._last_request, self._last_head = text, None, head
            self._last_length = 2 + len(text) + length
        else:
            self.forget()

    def _body(self, data: bytes, at: int) -> int:
        if (chunks := self._chunks) is not None:
            piece, end = chunks.feed(data, at)
            if piece:
                self._sink.body_received(piece)
            if not chunks.done:
                return end
            self._chunks, self._chunked = None, False
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


_NOTHING = RequestHead(RequestLine("GET", b"/", "1.1"), FieldBlock({}, keep_alive=True))
_BETWEEN, _HEAD, _BODY = ParserState.IDLE, ParserState.HEAD, ParserState.BODY
