"""Field lines that differ from earlier ones of the same connection in a few values.

A client sends the same fields with each request, in the same order, and changes few values:
Referer, Cookie, a trace id. Equal parts are compared instead of parsed. Pure.
"""

from typing import Any

from pyfork.http.request.head import SERVER_FIELDS, VALUE_TABLE, FieldBlock, FieldMapper

_MOST = 8  # values that may differ; beyond that fields are parsed


class FieldTemplate:
    """A parsed block of fields, as a template for later ones.

    It is bytes with gaps. A gap is the value of a field that has differed before.

    Attributes:
        block: the parsed block.
        gateway_cache: for a gateway.
    """

    __slots__ = (
        "_as_text",
        "_gaps",
        "_lines",
        "_names",
        "_prefixes",
        "_size",
        "_start",
        "block",
        "gateway_cache",
    )

    def __init__(self, block: FieldBlock, mapper: FieldMapper | None) -> None:
        """``block`` came with a request line that `is_usual`. It frames no content, offers no
        other protocol, and keeps the connection."""
        self.block = block
        self.gateway_cache: Any = None
        self._as_text = mapper is not None
        self._lines = block.text.split(b"\r\n")[:-2]
        parts = [line.partition(b":") for line in self._lines]
        lower = [name.lower() for name, _, _ in parts]
        # As the gateway has them.
        self._names = lower if mapper is None else [mapper((name, b""))[0] for name in lower]
        # The names of fields whose values may differ: they mean nothing to the server, and the
        # gateway passes each on separately.
        self._prefixes = [
            name + (b": " if value.startswith(b" ") else b":")
            if key and low not in SERVER_FIELDS and lower.count(low) == 1
            else None
            for (name, _, value), low, key in zip(parts, lower, self._names, strict=True)
        ]
        self._start = block.text  # the bytes before the first gap
        self._size = len(self._start)
        # For each gap: line number, name, and the bytes up to the next gap.
        self._gaps: list[tuple[int, Any, bytes]] = []

    def read(self, data: bytes, at: int) -> FieldBlock | None:
        """Return the block in ``data`` from ``at``, without content after it.

        Returns None if it differs in more values, or is malformed.
        """
        if not data.startswith(self._start, at):
            return self._differing(data, at)
        position = at + self._size
        base = self.block
        entries, changes = base.entries.copy(), []
        for number, name, behind in self._gaps:
            # searching one byte is faster; `VALUE_TABLE` rejects a lone CR
            end = data.find(b"\r", position)
            if not data.startswith(behind, end):
                return self._differing(data, at)
            value = data[position:end].strip(b" \t")
            if value.translate(VALUE_TABLE) != value:
                return None
            entry = name, value.decode("latin-1") if self._as_text else value
            entries[number] = entry
            changes.append(entry)
            position = end + len(behind)
        if position != len(data):
            return None if changes else self._differing(data, at)
        block = FieldBlock(base.server_fields)
        block.host, block.entries, block.text = base.host, entries, data[at:]
        block.template, block.changes = self, changes
        return block

    def _differing(self, data: bytes, at: int) -> FieldBlock | None:
        """`read` for a block where other values differ: they become gaps."""
        lines = data[at:].split(b"\r\n")[:-2]
        if len(lines) != len(self._lines):
            return None
        gaps = [gap[0] for gap in self._gaps]
        for number, (line, first) in enumerate(zip(lines, self._lines, strict=True)):
            if line == first or number in gaps:
                continue
            prefix = self._prefixes[number]
            if prefix is None or not line.startswith(prefix):
                return None
            gaps.append(number)
        if not len(self._gaps) < len(gaps) <= _MOST:
            return None
        self._open(sorted(gaps))
        return self.read(data, at)

    def _open(self, gaps: list[int]) -> None:
        """Make gaps in these lines."""
        pieces = [b""]
        for number, line in enumerate(self._lines):
            if number in gaps:
                pieces[-1] += self._prefixes[number] or b""
                pieces.append(b"\r\n")
            else:
                pieces[-1] += line + b"\r\n"
        pieces[-1] += b"\r\n"
        self._start = pieces[0]
        self._size = len(self._start)
        self._gaps = [
            (number, self._names[number], behind)
            for number, behind in zip(gaps, pieces[1:], strict=True)
        ]
