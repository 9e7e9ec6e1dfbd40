"""What a line of the error log looks like."""

import logging
import time
from collections.abc import Sequence

Rows = Sequence[tuple[str, str]]

LINE = "[{asctime}] [{process}] [{levelname}]{identity} {message}"
_TIME = "%Y-%m-%d %H:%M:%S %z"
_UNPRINTABLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    ord("\n"): "\n",
    ord("\t"): "\t",
}


def printable(text: str) -> str:
    """Control characters are shown, not sent to the terminal."""
    return text if text.isprintable() else text.translate(_UNPRINTABLE)


def told(style: str = "", rows: Rows = ()) -> dict[str, object]:
    """``extra`` of a record for the person who develops: ``rows`` stand below it, label and text.

    ``style``: "good" for good news.
    """
    return {"told": True, "style": style, "rows": rows}


class LineFormatter(logging.Formatter):
    """pyfork's own line. Control characters are shown, not sent to the terminal."""

    def __init__(self, line: str = LINE) -> None:
        super().__init__(line, _TIME, style="{", defaults={"identity": ""})

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Local time with the offset to UTC."""
        return time.strftime(datefmt or _TIME, time.localtime(record.created))

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback below it if there is one."""
        return printable(super().format(record))
