"""Heads out of bytes, for all connections of a worker.

What is read again and again is read once: request lines and field lines repeat, so those that
were valid are remembered, as many as the bounds below allow. Clients choose them: a memory that
is full begins anew, so that nobody can take it for good.
"""

from pyfork.errors import ProtocolError
from pyfork.http.limits import Limits
from pyfork.http.request import (
    SECRETS,
    FieldBlock,
    Fields,
    RequestHead,
    RequestLine,
    read_fields,
    read_line,
)

_LINES = 512  # request lines remembered, and field lines
_LINE = 256  # bytes of the longest of them
_NAME = 64

_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TEXT = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))  # RFC 9110 5.5


class _FieldLines:
    """Field lines: each one's name in lower case, and value without blanks around (5).

    ``known`` has those that are remembered. Not a dict with ``__missing__``: a subclass of dict is
    asked for an item in a way that takes four times as long.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, tuple[bytes, bytes]] = {}
        self._names: dict[bytes, bytes] = {}  # those of lines that are not remembered

    def learn(self, line: bytes) -> tuple[bytes, bytes]:
        """A line that is not known. Raises ValueError for what is malformed."""
        name, value = line.split(b":", 1)
        lower = self._names.get(name)
        if lower is None:
            if not name or name.translate(None, _TOKEN):
                raise ValueError(line)
            lower = name.lower()
            if len(name) <= _NAME:
                if len(self._names) >= _LINES:
                    self._names.clear()
                self._names[name] = lower
        # The first question is the quicker one.
        if not value.decode("latin-1").isprintable() and value.translate(None, _TEXT):
            raise ValueError(line)
        field = lower, value.strip(b" \t")
        if len(line) <= _LINE and lower not in SECRETS:
            if len(self.known) >= _LINES:
                self.known.clear()
            self.known[line] = field
        return field


class HeadReader:
    """Reads request lines and field blocks."""

    __slots__ = ("_fields", "_small", "known", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._small = min(limits.field, limits.head)  # no such block has a line too long
        self._fields = _FieldLines()
        # Request lines of HTTP/1.1 in origin form, within the limits.
        self.known: dict[bytes, RequestLine] = {}

    def line(self, text: bytes) -> RequestLine:
        """A request line, without its end, that is not too long. Raises ProtocolError."""
        line = self.known.get(text)
        if line is None:
            line = read_line(text)
            if len(text) <= _LINE and line.version == "1.1" and not line.authority:
                if len(self.known) >= _LINES:
                    self.known.clear()
                self.known[text] = line
        return line

    def block(self, text: bytes, line: RequestLine) -> FieldBlock:
        """The fields behind ``line``, with the empty line behind them. Raises ProtocolError."""
        fields = self.split(text)
        if fields is None:
            raise ProtocolError(400, "invalid field line")
        return read_fields(fields, line, self.limits.body)

    def whole(self, data: bytes, at: int, end: int) -> "tuple[RequestHead, bytes] | None":
        """The head from ``at`` on whose empty line begins at ``end + 2``, with its field lines.

        None where that takes a closer look: something is too long or malformed.
        Raises ProtocolError for a head that is well-formed and refused.
        """
        stop = data.find(b"\r\n", at)
        if stop == at or stop - at > self.limits.line:
            return None
        text = data[stop + 2 : end + 4]
        if len(text) - 4 > self._small:
            return None
        line = self.line(data[at:stop])
        fields = self.split(text)
        if fields is None or len(fields) > self.limits.fields:
            return None
        return RequestHead(line, read_fields(fields, line, self.limits.body)), text

    def split(self, text: bytes) -> Fields | None:
        """Names in lower case, and values without blanks around; None for what is malformed.

        ``text`` is field lines with an empty line behind them (RFC 9112 5).
        """
        lines = text.split(b"\r\n")
        del lines[-2:]
        known, learn = self._fields.known.get, self._fields.learn
        try:
            return [known(line) or learn(line) for line in lines]
        except ValueError:
            return None
