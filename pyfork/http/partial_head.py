"""A head that arrives in pieces, or that needs to be told what is wrong with it.

`Parser` reads a head that is whole and good in one go and hands every other one to this: line
by line as the lines become complete, so that what is wrong is refused at its own byte, and what
is too long as soon as it is too long, whatever the size of the pieces.
"""

import re

from pyfork.errors import ProtocolError
from pyfork.http.limits import line_size
from pyfork.http.reader import HeadReader
from pyfork.http.request import FIELD_LINE, TOKEN, RequestLine, read_start

_START = re.compile(rb"%b|\r(?:\n|\Z)" % TOKEN)  # what a request line, or an empty one, begins with


class PartialHead:
    """Gathers one head."""

    __slots__ = ("_blank", "_block", "_buffer", "_fields", "_reader", "_searched", "_start", "line")

    def __init__(self, reader: HeadReader) -> None:
        self._reader = reader
        self._buffer = bytearray()
        self._start = 0  # where the line that is arriving begins
        self._searched = 0  # no line end before this
        self._blank = False  # an empty line came before the request line
        self._block = 0  # where the field lines begin
        self._fields = 0  # field lines so far
        self.line: RequestLine | None = None  # the request line, once it is complete

    @property
    def empty(self) -> bool:
        """Whether nothing of a request line has come."""
        return self._start == len(self._buffer) and self.line is None

    def start_of_line(self) -> RequestLine | None:
        """What a request line that is not complete, or was refused, says so far."""
        return read_start(bytes(self._buffer[self._start :][: self._reader.limits.line]))

    def add(self, data: bytes, start: int, stop: int) -> tuple[bytes | None, int]:
        """Take ``data`` from ``start`` to ``stop``.

        Returns the field lines, with the empty one behind them, and where the head ended in
        ``data``; or None and ``stop``, when more must come. Raises ProtocolError.
        """
        buffer = self._buffer
        buffer += memoryview(data)[start:stop]
        while True:
            end = buffer.find(b"\n", self._searched) + 1
            self._check(end or len(buffer))
            if not end:
                self._searched = len(buffer)
                return None, stop
            line = bytes(buffer[self._start : end])
            if self.line is None:
                self._request_line(line)
                self._block = end
            elif line == b"\r\n":
                return bytes(buffer[self._block : end]), stop - (len(buffer) - end)
            elif not FIELD_LINE.fullmatch(line):
                raise ProtocolError(400, "invalid field line")
            else:
                self._fields += 1
            self._start = self._searched = end

    def _request_line(self, line: bytes) -> None:
        if line == b"\r\n" and not self._blank:
            self._blank = True  # one, of clients that end content with it, is ignored (2.2)
            return
        if line[-2:] != b"\r\n":
            raise ProtocolError(400, "invalid request line")
        text = line[:-2]
        self.line = self._reader.known.get(text) or self._reader.line(text)

    def _check(self, end: int) -> None:
        """Hold the limits against the line that arrives; ``end`` is its end, as far as it is here.

        Nothing is copied: a line may come byte by byte.
        """
        limits = self._reader.limits
        buffer, start = self._buffer, self._start
        size = line_size(buffer, start, end)
        if self.line is None:
            if end > start and not _START.match(buffer, start, end):
                raise ProtocolError(400, "invalid request line")
            if size > limits.line:
                raise ProtocolError(414, "the request line is too long")
        elif size and (
            size > limits.field
            or self._fields >= limits.fields
            or self._start + size - self._block > limits.head
        ):
            raise ProtocolError(431, "the header fields are too large")
