"""The chunked transfer coding (RFC 9112 7.1).

It is not left to a parser library: none limits extensions and trailers, and each accepts something
beyond the grammar.
"""

import re

from pyfork.errors import ProtocolError
from pyfork.http.request.head import FIELD_LINE, TOKEN
from pyfork.http.request.limits import SizeLimits, line_size

LINE = 1024  # bytes of one chunk-size line with its extensions
EXTENSIONS = 16 * 1024  # bytes of all extensions of a body

_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_BWS = rb"[ \t]*+"
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,15})((?:%(bws)b;%(bws)b%(token)b++(?:%(bws)b=%(bws)b(?:%(token)b++|%(quoted)b))?)*)\r\n"
    % {b"bws": _BWS, b"token": TOKEN, b"quoted": _QUOTED}
)


class Chunked:
    """Reads the content of one request. Checks and drops extensions and trailers."""

    __slots__ = ("_extensions", "_fields", "_left", "_limits", "_part", "_trailers", "done", "size")

    def __init__(self, limits: SizeLimits) -> None:
        self._limits = limits
        self._left = 0  # bytes of chunk data to come, and 2 for the line end
        self._part = bytearray()  # of an incomplete line
        self._extensions = 0  # bytes of extensions so far
        self._trailers = -1  # bytes of trailer lines so far; -1 before the last chunk
        self._fields = 0  # trailer lines so far
        self.size = 0  # bytes of content announced so far
        self.done = False

    def feed(self, data: bytes, start: int) -> tuple[bytes, int]:
        """Parse ``data`` from ``start``. Returns content, and the position after the body or the
        data.

        Raises ProtocolError: 413 beyond the limit of a body, else 400.
        """
        pieces: list[bytes] = []
        at, end = start, len(data)
        while at < end and not self.done:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif self._left:
                at = self._chunk_end(data, at)
            else:
                at = self._line(data, at)
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), at

    def _chunk_end(self, data: bytes, at: int) -> int:
        expected = b"\r\n"[2 - self._left :]
        found = data[at : at + len(expected)]
        if not expected.startswith(found):
            raise ProtocolError(400, "a chunk does not end where its size says")
        self._left -= len(found)
        return at + len(found)

    def _line(self, data: bytes, at: int) -> int:
        newline = data.find(b"\n", at) + 1
        end = newline or len(data)
        part = self._part
        size = line_size(data, at, end)
        if part or not newline:  # a buffer: joining pieces would take quadratic time
            part += memoryview(data)[at:end]
            size = line_size(part, 0, len(part))
        sizes = self._trailers < 0
        if size > (LINE if sizes else self._limits.field):
            raise ProtocolError(400, "a line of the chunked content is too long")
        if not newline:
            return end
        line = bytes(part) if part else data[at:end]
        part.clear()
        if sizes:
            self._size_line(line)
        elif line == b"\r\n":
            self.done = True
        else:
            self._trailer(line)
        return newline

    def _size_line(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError(400, "invalid chunk size line")
        size = int(match[1], 16)
        self._extensions += len(match[2])
        if self._extensions > EXTENSIONS:
            raise ProtocolError(400, "too many chunk extensions")
        self.size += size
        if self.size > self._limits.body:
            raise ProtocolError(413, "the content is too large")
        if size:
            self._left = size + 2
        else:
            self._trailers = 0

    def _trailer(self, line: bytes) -> None:
        self._fields += 1
        self._trailers += len(line)
        if not FIELD_LINE.fullmatch(line):
            raise ProtocolError(400, "invalid trailer")
        if self._fields > self._limits.fields or self._trailers > self._limits.head:
            raise ProtocolError(400, "too many trailers")
