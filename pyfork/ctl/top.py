"""``pyfork top``: all servers and their workers, live and full-screen. It needs ``pyfork[top]``."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pyfork.ctl import client, stack, tables
from pyfork.ctl.listing import Look, look_at, take_look
from pyfork.ctl.top_model import SORTS, ServerRows, WorkerRow, servers
from pyfork.errors import PyforkError

PERIOD = 1.0  # seconds between two looks
FIRST = 0.3  # seconds until the second, by which rates are known
HELP = "q:quit j/k:select s:sort t:stacks +/-:scale r:reload R:restart d:drain u:resume"
STACKS_HELP = "j/k:scroll  any other key:back"

_STYLES = {"serving": "green", "booting": "yellow", "draining": "cyan"}


class Screen:
    """The selection and the order."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look
        self._before = self._now = look()
        self._selected = 0
        self._sort = 0
        self._said = ""  # what the last key has come to
        self._stacks: list[str] = []  # lines of a worker's stacks, shown in place of the table
        self._scrolled = 0  # of them, lines above the screen

    def look(self) -> None:
        """Look at all servers again."""
        self._before, self._now = self._now, self._look()

    def _servers(self) -> list[ServerRows]:
        return servers(self._before, self._now, sort=SORTS[self._sort])

    def render(self, width: int, height: int) -> Table:
        """The whole screen."""
        if self._stacks:
            return self._render_stacks(width, height)
        found = self._servers()
        count = sum(len(each.workers) for each in found)
        self._selected = max(0, min(self._selected, count - 1))
        lines = list(self._lines(found, width))
        room = max(1, height - 3)
        at = next((at for at, (_, chosen) in enumerate(lines) if chosen), 0)
        first = max(0, min(at - room // 2, len(lines) - room))
        screen = Table.grid(expand=True)
        screen.add_column(no_wrap=True, overflow="crop")
        screen.add_row(Text(_head(width), style="bold"))
        for text, chosen in lines[first : first + room]:
            screen.add_row(Text(text.plain, style="reverse") if chosen else text)
        if not found:
            screen.add_row(Text("no server is running"))
        screen.add_row(Text(f"sorted by {SORTS[self._sort]}  {self._said}", style="dim"))
        screen.add_row(Text(HELP, style="dim"))
        return screen

    def _render_stacks(self, width: int, height: int) -> Table:
        room = max(1, height - 2)
        self._scrolled = max(0, min(self._scrolled, len(self._stacks) - room))
        screen = Table.grid(expand=True)
        screen.add_column(no_wrap=True, overflow="crop")
        for line in self._stacks[self._scrolled : self._scrolled + room]:
            screen.add_row(Text(line[:width]))
        screen.add_row(Text(STACKS_HELP, style="dim"))
        return screen

    def _lines(self, found: list[ServerRows], width: int) -> Iterator[tuple[Text, bool]]:
        number = 0
        for server in found:
            yield Text(f"{server.title}: {server.facts}"[:width], style="bold"), False
            for worker in server.workers:
                text = Text(_row(worker)[:width], style=_STYLES.get(worker.state, "red"))
                yield text, number == self._selected
                number += 1

    def press(self, key: str) -> bool:
        """Do what a key means. Whether to go on."""
        if self._stacks:
            if key in "jk":
                self._scrolled += 1 if key == "j" else -1
            else:
                self._stacks = []
            return True
        if key == "q":
            return False
        if key in "jk":
            self._selected += 1 if key == "j" else -1
        elif key == "s":
            self._sort = (self._sort + 1) % len(SORTS)
        elif key == "t" and (chosen := self._chosen()):
            self._show_stacks(*chosen)
        elif key in "+-rRdu" and (chosen := self._chosen()):
            self._said = self._do(key, *chosen)
        return True

    def _chosen(self) -> tuple[ServerRows, WorkerRow] | None:
        rows = [(server, worker) for server in self._servers() for worker in server.workers]
        return rows[self._selected] if self._selected < len(rows) else None

    def _show_stacks(self, server: ServerRows, worker: WorkerRow) -> None:
        try:
            found = client.find(str(server.pid))
            try:
                workers, last = stack.ask(found, worker.slot)
            finally:
                found.close()
        except (OSError, PyforkError) as error:
            self._said = f"stacks: {error}"
            return
        shown = "\n".join(map(stack.text, workers))
        self._stacks, self._scrolled = shown.splitlines(), 0
        self._said = "" if shown else f"stacks: {last.get('error', 'none')}"

    def _do(self, key: str, server: ServerRows, worker: WorkerRow) -> str:
        request: tuple[str, dict[str, Any]] = {
            "+": ("scale", {"by": 1}),
            "-": ("scale", {"by": -1}),
            "r": ("reload", {}),
            "R": ("restart", {}),
            "d": ("drain", {"worker": worker.slot}),
            "u": ("resume", {}),
        }[key]
        name, options = request
        try:
            found = client.find(str(server.pid))
            try:
                (answer,) = found.ask(name, **options)
            finally:
                found.close()
        except (OSError, PyforkError) as error:
            return f"{name}: {error}"
        return f"{name}: done" if answer["ok"] else f"{name}: {answer['error']}"


def run(target: str | None) -> None:
    """Show it until q or Ctrl-C.

    Raises:
        PyforkError: this is no terminal, or there is no such server.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise PyforkError("pyfork top needs a terminal; elsewhere write pyfork list --json")
    look = take_look
    if target is not None:
        found = client.find(target)
        found.close()
        look = partial(look_at, found.path)
    screen, console = Screen(look), Console()
    with (
        suppress(KeyboardInterrupt),
        _keys() as key,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        going, next_look = True, time.monotonic() + FIRST
        while going:
            if time.monotonic() >= next_look:
                screen.look()
                next_look = time.monotonic() + PERIOD
            live.update(screen.render(console.width, console.height), refresh=True)
            pressed = key(max(0.0, next_look - time.monotonic()))
            going = screen.press(pressed) if pressed else True


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """A function that waits for a key, so many seconds at most; "" if there was none."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)

    def wait(seconds: float) -> str:
        ready, _, _ = select.select([fd], [], [], seconds)
        pressed = os.read(fd, 16).decode(errors="replace") if ready else ""
        return {"\x1b[A": "k", "\x1b[B": "j"}.get(pressed, pressed[:1])

    try:
        tty.setcbreak(fd)
        yield wait
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


_COLUMNS = (4, 8, 4, 9, 8, 6, 6, 6, 9)
_HEADS = ("slot", "pid", "gen", "state", "req/s", "flight", "conns", "CPU", "memory")


def _head(width: int) -> str:
    return _columns(_HEADS, "doing")[:width]


def _row(worker: WorkerRow) -> str:
    cells = (
        str(worker.slot),
        str(worker.pid),
        str(worker.generation),
        worker.state,
        "-" if worker.rate is None else f"{worker.rate:.0f}",
        "-" if worker.in_flight is None else str(worker.in_flight),
        "-" if worker.connections is None else str(worker.connections),
        "-" if worker.cpu is None else f"{worker.cpu:.0f} %",
        "-" if worker.memory is None else tables.size(worker.memory),
    )
    return _columns(cells, worker.doing)


def _columns(cells: tuple[str, ...], doing: str) -> str:
    text = " ".join(cell.rjust(width) for cell, width in zip(cells, _COLUMNS, strict=True))
    return f"{text}  {doing}"
