"""Reader of complete heads, with caches for all connections of a worker.

Request lines and field lines repeat. Valid ones are cached, with the gateway's form of each field.
"""

from typing import Any

from pyfork.errors import ProtocolError
from pyfork.http.cache import BoundedCache
from pyfork.http.request.field_template import FieldTemplate
from pyfork.http.request.head import (
    SECRETS,
    SERVER_FIELDS,
    VALUE_TABLE,
    Field,
    FieldBlock,
    FieldMapper,
    Fields,
    RequestHead,
    RequestLine,
    interpret_fields,
    read_line,
)
from pyfork.http.request.limits import SizeLimits

_LINE = 256  # bytes of the longest cached line
_NAME = 64
_ONCE = 255  # a power of 2, less 1: a mask
_BLOCK = 4096  # bytes of the longest block whose meaning is cached

_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TEXT = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))  # RFC 9110 5.5


class HeadReader:
    """Reads request lines and field blocks.

    A block has ``entry``'s form of each field; without ``entry``, the fields themselves.
    """

    __slots__ = (
        "_entry",
        "_fields",
        "_firsts",
        "_meanings",
        "_names",
        "_once",
        "_ours",
        "_secret",
        "_server_fields",
        "_small",
        "known",
        "limits",
    )

    def __init__(self, limits: SizeLimits, entry: FieldMapper | None = None) -> None:
        self.limits = limits
        self._small = min(limits.field, limits.head)  # in a shorter block no line can be too long
        self._entry = entry
        # Request lines of HTTP/1.1 in origin form, within the limits.
        self.known: BoundedCache[bytes, RequestLine] = BoundedCache()
        self._fields: BoundedCache[bytes, Any] = BoundedCache()  # lines -> entries
        # Fields that the server interprets.
        self._ours: BoundedCache[bytes, tuple[Field, Any]] = BoundedCache()
        # -> in lower case, and the gateway's form
        self._names: BoundedCache[bytes, tuple[bytes, Any]] = BoundedCache()
        self._meanings: BoundedCache[tuple[Field, ...], FieldBlock] = BoundedCache()
        # see `read_first`
        self._firsts: BoundedCache[bytes, tuple[RequestHead, bytes]] = BoundedCache()
        # By hash: lines seen once. They take no place from frequent ones.
        self._once = [b""] * (_ONCE + 1)
        # Results of the last lines.
        self._server_fields: list[Field] = []  # for the server
        self._secret = False  # one of `SECRETS` was among them

    def read_line(self, text: bytes) -> RequestLine:
        """Parse a request line without its end; not cached and not too long. Raises
        ProtocolError."""
        line = read_line(text)
        if len(text) <= _LINE and line.is_usual:
            at = hash(text) & _ONCE
            if self._once[at] == text:
                self.known.put(text, line)
            else:
                self._once[at] = text
        return line

    def read_block(self, text: bytes, line: RequestLine) -> FieldBlock:
        """Parse the fields behind ``line`` with the empty line. Raises ProtocolError."""
        entries = self._split(text)
        if entries is None:
            raise ProtocolError(400, "invalid field line")
        return self._block(entries, text, line)

    def given(self, fields: Fields, line: RequestLine) -> FieldBlock:
        """As `read_block`, for fields that another parser has read; names are in lower case.

        Raises ProtocolError, also for values outside of our grammar (control characters).
        """
        for name, value in fields:
            if not name or name.translate(None, _TOKEN) or value.translate(None, _TEXT):
                raise ProtocolError(400, "invalid field line")
        self._server_fields = [field for field in fields if field[0] in SERVER_FIELDS]
        text = b"".join([b"%b: %b\r\n" % field for field in fields]) + b"\r\n"
        entries = fields if self._entry is None else [self._entry(field) for field in fields]
        return self._block(entries, text, line)

    def read_first(self, data: bytes, end: int) -> "tuple[RequestHead, bytes] | None":
        """`read_complete` for a connection's first request.

        Clients that make a connection for each request often send the same one.
        """
        if len(data) > _LINE:
            return self.read_complete(data, 0, end)
        found = self._firsts.get(data)
        if found is None:
            found = self.read_complete(data, 0, end)
            if found is None or self._secret or found[0].block.framed:
                return found
            self._firsts.put(data, found)
        head, text = found
        return RequestHead(head.line, head.block.copy()), text

    def read_similar(self, data: bytes, stop: int, template: FieldTemplate) -> RequestHead | None:
        """Read a head whose fields differ from a template's in a few values.

        Its request line ends at ``stop``. Returns None if it must be parsed.
        """
        if stop > self.limits.line or len(data) - stop - 6 > self._small:
            return None
        block = template.read(data, stop + 2)
        if block is None:
            return None
        start = data[:stop]
        line = self.known.get(start)
        if line is None:
            try:
                line = self.read_line(start)
            except ProtocolError:
                return None
        return RequestHead(line, block) if line.is_usual else None

    def read_complete(self, data: bytes, at: int, end: int) -> "tuple[RequestHead, bytes] | None":
        """Read the head from ``at`` whose empty line begins at ``end + 2``.

        Returns None if a line is too long or malformed. Raises ProtocolError for a well-formed
        head that is rejected.
        """
        stop = data.find(b"\r\n", at)
        if stop == at or stop - at > self.limits.line:
            return None
        text = data[stop + 2 : end + 4]
        if len(text) - 4 > self._small:
            return None
        start = data[at:stop]
        line = self.known.get(start) or self.read_line(start)
        entries = self._split(text)
        if entries is None or len(entries) > self.limits.fields:
            return None
        return RequestHead(line, self._block(entries, text, line)), text

    def template(self, block: FieldBlock) -> FieldTemplate:
        """Make a template of ``block`` for later heads of its connection."""
        return FieldTemplate(block, self._entry)

    def _split(self, text: bytes) -> list[Any] | None:
        """Split field lines into entries and fields for the server; None if malformed.

        Names are in lower case; values have no blanks around them (RFC 9112 5).
        """
        lines = text.split(b"\r\n")
        del lines[-2:]
        self._server_fields, self._secret = [], False
        known, learn = self._fields.get, self._parse_field
        try:
            return [known(line) or learn(line) for line in lines]
        except ValueError:
            return None

    def _parse_field(self, line: bytes) -> Any:
        """Parse a line that is not cached, or that is for the server. Raises ValueError."""
        if (found := self._ours.get(line)) is not None:
            self._server_fields.append(found[0])
            return found[1]
        name, value = line.split(b":", 1)
        lower, key = self._names.get(name) or self._learn_name(name)
        if value.translate(VALUE_TABLE) != value:
            raise ValueError(line)
        value = value.strip(b" \t")
        entry = (key, value) if self._entry is None else (key, value.decode("latin-1"))
        if lower in SERVER_FIELDS:
            field = lower, value
            self._server_fields.append(field)
            if len(line) <= _LINE:
                self._ours.put(line, (field, entry))
        elif lower in SECRETS:
            self._secret = True
        elif len(line) <= _LINE:
            at = hash(line) & _ONCE
            if self._once[at] == line:
                self._fields.put(line, entry)
            else:
                self._once[at] = line
        return entry

    def _learn_name(self, name: bytes) -> tuple[bytes, Any]:
        """Check a field name that is not cached. Raises ValueError."""
        if not name or name.translate(None, _TOKEN):
            raise ValueError(name)
        lower = name.lower()
        learnt = lower, lower if self._entry is None else self._entry((lower, b""))[0]
        if len(name) <= _NAME:
            self._names.put(name, learnt)
        return learnt

    def _block(self, entries: list[Any], text: bytes, line: RequestLine) -> FieldBlock:
        """Interpret split lines. Raises ProtocolError."""
        said = tuple(self._server_fields)
        if line.is_usual and (known := self._meanings.get(said)) is not None:
            return known.with_fields(entries, text)
        block = interpret_fields(self._server_fields, line, self.limits.body)
        block.entries, block.text = entries, text
        if line.is_usual:
            if not (block.framed or block.expect_continue) and len(text) <= _BLOCK:
                self._meanings.put(said, block.with_fields([], b""))
            return block
        # an absolute target takes precedence (3.2.2)
        if line.authority and line.authority != block.host:
            others = [field for field in block.fields if field[0] != b"host"]
            fields = [(b"host", line.authority), *others]
            block.entries = fields if self._entry is None else [self._entry(f) for f in fields]
            block.text = b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"
        return block
