"""The format of lines in the error log."""

import logging
import time
from collections.abc import Sequence

Rows = Sequence[tuple[str, str]]

LINE = "[{asctime}] [{process}] [{levelname}]{identity} {message}"
_TIME = "%Y-%m-%d %H:%M:%S %z"


def printable(text: str) -> str:
    """Return ``text`` as one line: characters that are not printable become escapes.

    Those are the control characters of ASCII and C1, characters that change the direction of text,
    line separators, and all else that `str.isprintable` rejects.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def with_detail(text: str, detail: str) -> str:
    """Return one record of a text and a traceback, which may be empty."""
    return f"{text}\n{detail.rstrip()}" if detail else text


def indented(text: str) -> str:
    """Return ``text`` with all lines but the first indented.

    So no line of an exception's text can look like a record.
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
    """Return ``extra`` for a record on the terminal: ``rows`` (label and text) are shown below it.

    ``style``: "good" for good news.
    """
    return {"told": True, "style": style, "rows": rows}


class LineFormatter(logging.Formatter):
    """One line in pyfork's format; further lines of a message or traceback are below it."""

    def __init__(self, line: str = LINE) -> None:
        super().__init__(line, _TIME, style="{", defaults={"identity": ""})

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return local time with the offset to UTC."""
        return time.strftime(datefmt or _TIME, time.localtime(record.created))

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text that cannot be read as two records."""
        return indented(super().format(record))
