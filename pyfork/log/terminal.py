"""Lines for a person at a terminal, with colours.

Lines for files and pipes are not affected.
"""

import logging
import os
import time
from collections.abc import Callable
from types import TracebackType

from pyfork.log.access_format import Access, Clock, escaped
from pyfork.log.formatter import LINE, LineFormatter, Rows, printable

_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_RESET = "\x1b[0m"
_STYLES = {
    "dim": "\x1b[2m",
    "bold": "\x1b[1m",
    "good": "\x1b[32m",
    "link": "\x1b[1;36m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}


class HideOnTerminal(logging.Filter):
    """Passes lines for a person, and warnings and errors."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or getattr(record, "told", False)


class ConsoleFormatter(LineFormatter):
    """Lines for a terminal.

    ``brief``: the time, and what happened; else the line of any log. ``colour``: see
    `pyfork.system.environment.wants_colour`.
    """

    def __init__(self, *, brief: bool, colour: bool) -> None:
        super().__init__("{message}" if brief else LINE)
        self.brief = brief
        self.traceback: Callable[[BaseException], str] | None = None  # in place of logging's own
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Its first line in the colour that its level has, and the rows below it."""
        first, newline, rest = super().format(record).partition("\n")
        line = self._painted(first, getattr(record, "style", "") or record.levelname)
        if self.brief:
            clock = time.strftime("%H:%M:%S", time.localtime(record.created))
            line = f"{self._painted(clock, 'dim')} {line}"
        rows: Rows = getattr(record, "rows", ())
        return f"{line}{newline}{rest}" + "".join(map(self._row, rows))

    def formatException(self, ei: _Raised) -> str:
        """The traceback of a record."""
        error = ei[1]
        if self.traceback is None or error is None:
            return super().formatException(ei)
        return self.traceback(error)

    def _row(self, row: tuple[str, str]) -> str:
        label, text = row
        link = text.startswith(("http://", "https://"))
        shown = self._painted(printable(text), "link" if link else "")
        return f"\n  {self._painted(f'{label:9}', 'dim')}{shown}"

    def _painted(self, text: str, style: str) -> str:
        return _painted(text, style if self._colour else "")


def request_line(*, colour: bool, stream: int) -> Callable[[Access], str]:
    """A function from a request to its line: time, method, target, status, duration, size.

    A target that has no room is cut, so that a request is one line on the terminal ``stream``.
    """
    clock = Clock("%H:%M:%S")

    def painted(text: str, style: str) -> str:
        return _painted(text, style if colour else "")

    def render(access: Access) -> str:
        status = str(access.status) if access.status else "cut"
        end = f"{status} {_duration(access.elapsed)} {_size(access.length)}"
        start = f"{clock()} {escaped(access.method)} "
        target = _cut(escaped(access.target), _columns(stream) - len(start) - len(end) - 2)
        time, method = start.split(" ", 1)
        parts = (painted(time, "dim"), painted(method.strip(), "bold"), target)
        numbers = painted(end.removeprefix(status), "dim")
        return f"{' '.join(parts)} {painted(status, _STATUS.get(status[0], 'ERROR'))}{numbers}"

    return render


_STATUS = {"1": "link", "2": "good", "3": "link", "4": "WARNING"}
"""The style of a status by its first digit."""


def _painted(text: str, style: str) -> str:
    return f"{_STYLES[style]}{text}{_RESET}" if style in _STYLES else text


def _columns(stream: int) -> int:
    try:
        return os.get_terminal_size(stream).columns or 80
    except OSError:
        return 80


def _cut(text: str, room: int) -> str:
    """``text``, or as much of it as there is room for, but never less than 10 characters."""
    room = max(room, 10)
    return text if len(text) <= room else f"{text[: room - 3]}..."


def _duration(seconds: float) -> str:
    if seconds >= 10:
        return f"{seconds:.0f} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.{int(seconds < 0.01)}f} ms"


def _size(length: int) -> str:
    if length < 1000:
        return f"{length} B"
    return f"{length / 1e3:.1f} kB" if length < 1_000_000 else f"{length / 1e6:.1f} MB"
