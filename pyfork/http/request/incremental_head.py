"""A head that arrives in pieces, or that needs to be told what is wrong with it.

`Parser` reads a head that is whole and good in one go and hands every other one to this: line
by line as the lines become complete, so that what is wrong is refused at its own byte, and what
is too long as soon as it is too long, whatever the size of the pieces.
"""

import re

from pyfork.errors import ProtocolError
from pyfork.http.request.head import FIELD_LINE, TOKEN, RequestLine, read_start
from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.limits import SizeLimits, line_size

_START = re.compile(rb"%b|\r(?:\n|\Z)" % TOKEN)  # what a request line, or an empty one, begins with


class HeadBuffer:
    """Gathers one head within the limits, whoever reads its lines. Each of them ends in CRLF."""

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
        self._start = 0  # where the line that is arriving begins
        self._searched = 0  # no line end before this
        self._blank = False  # an empty line came before the request line
        self._first = 0  # where the request line begins
        self._block = 0  # where the field lines begin; 0 before the request line is complete
        self._fields = 0  # field lines so far

    @property
    def empty(self) -> bool:
        """Whether nothing of a request line has come."""
        return self._start == len(self._buffer) and not self._block

    @property
    def head(self) -> bytes:
        """The whole head, once it is complete."""
        return bytes(self._buffer[self._first :])

    @property
    def block(self) -> bytes:
        """Its field lines, with the empty one behind them."""
        return bytes(self._buffer[self._block :])

    def start_of_line(self) -> RequestLine | None:
        """What the request line says so far, whether it is valid or not."""
        return read_start(bytes(self._buffer[self._first :][: self._limits.line]))

    def add(self, data: bytes, start: int, stop: int) -> int | None:
        """Take ``data`` from ``start`` to ``stop``.

        Returns where the head ended in ``data``; None when more must come. Raises ProtocolError.
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
                self._blank = True  # one, of clients that end content with it, is ignored (2.2)
                self._first = end
            self._start = self._searched = end

    def _take(self, line: bytes) -> None:
        """Look at a line that is complete: the request line if the block has not begun yet."""
        if line[-2:] != b"\r\n":
            raise ProtocolError(400, "a line does not end in CRLF")

    def _check(self, end: int) -> None:
        """Hold the limits against the line that arrives; ``end`` is its end, as far as it is here.

        Nothing is copied: a line may come byte by byte.
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
    """Gathers one head, and reads each line when it is complete."""

    __slots__ = ("_reader", "line")

    def __init__(self, reader: HeadReader) -> None:
        super().__init__(reader.limits)
        self._reader = reader
        self.line: RequestLine | None = None  # the request line, once it is complete

    def _take(self, line: bytes) -> None:
        if self._block:
            if not FIELD_LINE.fullmatch(line):
                raise ProtocolError(400, "invalid field line")
            return
        if line[-2:] != b"\r\n":
            raise ProtocolError(400, "invalid request line")
        text = line[:-2]
        self.line = self._reader.known.get(text) or self._reader.read_line(text)
