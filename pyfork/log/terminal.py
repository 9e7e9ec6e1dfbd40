"""What a terminal shows: lines for a person, who works there, and colours.

Nothing in here touches what is written to a file or a pipe.
"""

import logging
import time

from pyfork.log.formatter import LINE, LineFormatter, Rows, printable

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
    """Lets through what is told to a person, and what is wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or getattr(record, "told", False)


class ConsoleFormatter(LineFormatter):
    """Lines for a terminal.

    ``brief``: the time, and what happened; else the line of any log. ``colour``: see
    `pyfork.system.environment.wants_colour`.
    """

    def __init__(self, *, brief: bool, colour: bool) -> None:
        super().__init__("{message}" if brief else LINE)
        self._brief = brief
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Its first line in the colour that its level has, and the rows below it."""
        first, newline, rest = super().format(record).partition("\n")
        line = self._painted(first, getattr(record, "style", "") or record.levelname)
        if self._brief:
            clock = time.strftime("%H:%M:%S", time.localtime(record.created))
            line = f"{self._painted(clock, 'dim')} {line}"
        rows: Rows = getattr(record, "rows", ())
        return f"{line}{newline}{rest}" + "".join(map(self._row, rows))

    def _row(self, row: tuple[str, str]) -> str:
        label, text = row
        link = text.startswith(("http://", "https://"))
        shown = self._painted(printable(text), "link" if link else "")
        return f"\n  {self._painted(f'{label:9}', 'dim')}{shown}"

    def _painted(self, text: str, style: str) -> str:
        if not self._colour or style not in _STYLES:
            return text
        return f"{_STYLES[style]}{text}{_RESET}"
