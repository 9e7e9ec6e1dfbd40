"""What a line of the error log looks like."""

import logging
import time
from collections.abc import Sequence

Rows = Sequence[tuple[str, str]]

LINE = "[{asctime}] [{process}] [{levelname}]{identity} {message}"
_TIME = "%Y-%m-%d %H:%M:%S %z"


def printable(text: str) -> str:
    """``text`` as one line that moves no cursor: what is not printable is written as an escape.

    These are the control characters of ASCII and C1, those that change the direction of text,
    separators of lines, and all else that `str.isprintable` refuses.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def indented(text: str) -> str:
    """``text`` of several lines as one record: those after the first are indented.

    So none of them begins like a record, whatever an exception's text may be.
    """
    first, *others = text.rstrip("\n").split("\n")
    return "\n  ".join([printable(first), *map(printable, others)])


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def terminal_style(style: str = "", rows: Rows = ()) -> dict[str, object]:
    """``extra`` of a record for the person who develops: ``rows`` stand below it, label and text.

    ``style``: "good" for good news.
    """
    return {"told": True, "style": style, "rows": rows}


class LineFormatter(logging.Formatter):
    """pyfork's own line, and below it the other lines of the message or a traceback."""

    def __init__(self, line: str = LINE) -> None:
        super().__init__(line, _TIME, style="{", defaults={"identity": ""})

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Local time with the offset to UTC."""
        return time.strftime(datefmt or _TIME, time.localtime(record.created))

    def format(self, record: logging.LogRecord) -> str:
        """The record as text that cannot be taken for two."""
        return indented(super().format(record))
