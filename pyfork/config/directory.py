"""Working directories of the program and of a generation of workers.

A deploy replaces a link (``current -> releases/8``) and removes the old release. The kernel knows
only the directory behind the link; the shell's PWD has the link. So the start directory is stored
as PWD has it. A new generation, the watcher and an upgrade follow its links again. A generation
keeps its result, so that all its workers have the same release.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyfork.errors import ConfigError
from pyfork.record import record


@record
class Start:
    """The directory in which pyfork was started."""

    logical: str  # absolute; links are followed at each use
    physical: str  # as it was at the start; empty if it had been removed

    @classmethod
    def of_process(cls, environ: Mapping[str, str]) -> "Start":
        """Return the current directory, by the name in PWD if PWD names it."""
        try:
            physical = os.getcwd()
        except FileNotFoundError:
            physical = ""
        logical = environ.get("PWD", "")
        named = os.path.isabs(logical) and _is_current(logical)
        return cls(logical if named else physical, physical)

    def check(self) -> None:
        """Raise ConfigError if it is missing."""
        if not os.path.isdir(self.logical):
            name = self.logical or "which has no name any more"
            raise ConfigError(f"the directory in which pyfork was started, {name}, is not there")

    def enter(self, chdir: str | None) -> "Directory":
        """Return the directory of a new generation; ``chdir`` is as given to ``--chdir``."""
        written = os.path.join(self.logical, chdir) if chdir else self.logical
        base = os.path.realpath(self.logical) if self.logical else ""
        return Directory(self, base, os.path.realpath(written) if written else "", written)


@record
class Directory:
    """The directory of one generation. Paths are absolute."""

    start: Start
    base: str  # the start directory without links, as it was when the generation began
    path: str  # the directory of its workers without links: the start, or --chdir
    written: str  # the same with links

    def enter(self) -> None:
        """Change to it, also for imports. Raises ConfigError: it is missing."""
        try:
            os.chdir(self.path)
        except OSError as error:
            raise ConfigError(self._missing(error)) from error
        sys.path[:] = [self._moved(path) for path in sys.path]

    def _missing(self, error: OSError) -> str:
        text = f"cannot change to directory {self.path}: {error.strerror}"
        now = os.path.realpath(self.written)
        if now != self.path and os.path.isdir(now):
            text += (
                f"; this generation runs from there, and {self.written} is {now} now: "
                "reload (HUP) to serve that"
            )
        return text

    def _moved(self, entry: str) -> str:
        """Return an entry of the path in this generation's directory, if it was in the start
        directory."""
        for old in {self.start.physical, self.start.logical} - {"", os.sep, self.base}:
            if entry == old or entry.startswith(old + os.sep):
                moved = self.base + entry[len(old) :]
                return moved if os.path.exists(moved) else entry
        return entry


@contextmanager
def within(path: str) -> Iterator[None]:
    """Change to ``path`` for the block, then back to a directory that may have no name any
    more. Raises OSError."""
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(path)
        try:
            yield
        finally:
            os.fchdir(before)
    finally:
        os.close(before)


def _is_current(path: str) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.stat("."))
    except OSError:
        return False
