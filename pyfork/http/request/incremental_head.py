"""A head that arrives in pieces, or whose error has to be found.

`Parser` reads complete, valid heads at once and passes all others here. Lines are read as they
become complete. So an error is reported at its own byte, and a line as soon as it is too long, for
any size of pieces.
"""

import re

from pyfork.errors import ProtocolError
from pyfork.http.request.head import FIELD_LINE, TOKEN, RequestLine, read_start
from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.limits import SizeLimits, line_size

_START = re.compile(rb"%b|\r(?:\n|\Z)" % TOKEN)  # the beginning of a request line, or an empty line


class HeadBuffer:
    """Collects one head within the limits, for any reader of lines. Lines end in CRLF."""

    __slots__ = (
        "_blank",
        "_block",
        "_buffer",
        "_fields",
        "_first",
        "_limits",
        "_searched",
        "_start",
    )

    def __init__(self, limits: SizeLimits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._start = 0  # the beginning of the incomplete line
        self._searched = 0  # no line end before this position
        self._blank = False  # an empty line preceded the request line
        self._first = 0  # the beginning of the request line
        self._block = 0  # the beginning of field lines; 0 before the request line is complete
        self._fields = 0  # field lines so far

    @property
    def empty(self) -> bool:
        """Whether nothing of a request line has arrived."""
        return self._start == len(self._buffer) and not self._block

    @property
    def head(self) -> bytes:
        """The whole head, when complete."""
        return bytes(self._buffer[self._first :])

    @property
    def block(self) -> bytes:
        """Its field lines with the empty line."""
        return bytes(self._buffer[self._block :])

    def start_of_line(self) -> RequestLine | None:
        """The request line so far, valid or not."""
        return read_start(bytes(self._buffer[self._first :][: self._limits.line]))

    def add(self, data: bytes, start: int, stop: int) -> int | None:
        """Add ``data`` from ``start`` to ``stop``.

        Returns the position after the head; None if more must come. Raises ProtocolError.
        """
        buffer = self._buffer
        buffer += memoryview(data)[start:stop]
        while True:
            end = buffer.find(b"\n", self._searched) + 1
            self._check(end or len(buffer))
            if not end:
                self._searched = len(buffer)
                return None
            line = bytes(buffer[self._start : end])
            if line != b"\r\n":
                self._take(line)
                if self._block:
                    self._fields += 1
                else:
                    self._block = end
            elif self._block:
                behind = len(buffer) - end
                del buffer[end:]
                return stop - behind
            elif self._blank:
                raise ProtocolError(400, "invalid request line")
            else:
                self._blank = True  # one is ignored: some clients end content with it (2.2)
                self._first = end
            self._start = self._searched = end

    def _take(self, line: bytes) -> None:
        """Handle a complete line: the request line, or a field line."""
        if line[-2:] != b"\r\n":
            raise ProtocolError(400, "a line does not end in CRLF")

    def _check(self, end: int) -> None:
        """Enforce the limits for the incomplete line, which ends at ``end`` so far.

        Nothing is copied: a line may arrive byte by byte.
        """
        limits = self._limits
        buffer, start = self._buffer, self._start
        size = line_size(buffer, start, end)
        if not self._block:
            if end > start and not _START.match(buffer, start, end):
                raise ProtocolError(400, "invalid request line")
            if size > limits.line:
                raise ProtocolError(414, "the request line is too long")
        elif size and (
            size > limits.field
            or self._fields >= limits.fields
            or start + size - self._block > limits.head
        ):
            raise ProtocolError(431, "the header fields are too large")


class IncrementalHead(HeadBuffer):
    """Collects one head, and parses each complete line."""

    __slots__ = ("_reader", "line")

    def __init__(self, reader: HeadReader) -> None:
        super().__init__(reader.limits)
        self._reader = reader
        self.line: RequestLine | None = None  # the request line, when complete

    def _take(self, line: bytes) -> None:
        if self._block:
            if not FIELD_LINE.fullmatch(line):
                raise ProtocolError(400, "invalid field line")
            return
        if line[-2:] != b"\r\n":
            raise ProtocolError(400, "invalid request line")
        text = line[:-2]
        self.line = self._reader.known.get(text) or self._reader.read_line(text)
