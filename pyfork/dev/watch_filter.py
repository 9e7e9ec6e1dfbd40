"""Which files count: what is looked at below the watched directories, and what is noise there.

Patterns are those of a shell: ``*`` does not match a dot that a name begins with, so editors' lock
files and what hidden directories hold are out unless they are asked for by name.
"""

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from pyfork.config.config import Config
from pyfork.record import record

NOISE_DIRECTORIES = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
NOISE_FILES = (  # an editor's copies of what is being typed
    *("flycheck_*", "*_flymake.py", "*~", "*.tmp", "#*#", "4913"),
    *(".#*", ".*.sw?", ".*.tmp"),
)
WATCHED = (
    "*.py",
    # Frameworks keep templates and translations in memory unless their own debug mode is on.
    *("*.html", "*.htm", "*.jinja", "*.jinja2", "*.j2", "*.mako", "*templates/*", "*.mo"),
    *(".env", ".env.*", ".flaskenv"),
)
_VENV = "pyvenv.cfg"  # PEP 405: what makes a directory a virtual environment

Signature = tuple[int, int, int]
"""The attributes that change with a file: time of the last write in ns, size, inode."""


@record
class Snapshot:
    """The watched files at one moment."""

    files: dict[str, Signature]  # by absolute path
    directories: frozenset[str]


@record
class WatchFilter:
    """The rules for watched files."""

    directories: tuple[str, ...]  # absolute; none lies in another
    extra: tuple[str, ...]  # absolute paths of single files, which may be missing
    include: tuple[str, ...]
    exclude: tuple[str, ...]

    @classmethod
    def of(cls, config: Config, files: Iterable[str], start: str) -> "WatchFilter":
        """Return ``config``'s filter, in the directory ``start``; ``files`` are watched too."""
        chosen = config.reload_dir or (".", config.chdir or ".", *config.pythonpath)
        directories = {os.path.realpath(os.path.join(start, each)) for each in chosen}
        single = (*files, *config.reload_extra_file, config.env_file or "")
        extra = {os.path.join(start, each) for each in single if each}
        return cls(
            directories=tuple(sorted(_outermost(directories))),
            extra=tuple(sorted(os.path.realpath(each) for each in extra)),
            include=(*WATCHED, *config.reload_include),
            exclude=(*NOISE_FILES, *config.reload_exclude),
        )

    def matches(self, path: str, known: Snapshot) -> bool:
        """Whether something that happened to ``path`` may matter."""
        if path in known.files or path in known.directories or path in self.extra:
            return True
        directory, name = os.path.split(path)
        return directory in known.directories and (
            self._is_wanted(path, name) or (os.path.isdir(path) and not self._is_noise(path, name))
        )

    def scan(self) -> Snapshot:
        """Take a snapshot. A file that cannot be read counts as absent."""
        files: dict[str, Signature] = {}
        directories: set[str] = set()
        waiting = list(self.directories)
        while waiting:
            directory = waiting.pop()
            entries = _entries(directory)
            if entries is None:
                continue
            if directory not in self.directories and any(each.name == _VENV for each in entries):
                continue
            directories.add(directory)
            for entry in entries:
                if _is_directory(entry):
                    if not self._is_noise(entry.path, entry.name):
                        waiting.append(entry.path)
                elif self._is_wanted(entry.path, entry.name):
                    files.update(_signed(entry.path))
        for path in self.extra:
            files.update(_signed(path))
            if os.path.isdir(os.path.dirname(path)):
                directories.add(os.path.dirname(path))
        return Snapshot(files, frozenset(directories))

    def _is_wanted(self, path: str, name: str) -> bool:
        return self._fits(self.include, path, name) and not self._fits(self.exclude, path, name)

    def _is_noise(self, path: str, name: str) -> bool:
        """Whether nothing in the directory ``path`` counts."""
        hidden = name in NOISE_DIRECTORIES or name.startswith(".")
        return hidden or self._fits(self.exclude, path, name)

    def _fits(self, patterns: Iterable[str], path: str, name: str) -> bool:
        """A pattern with a slash is about the path from the watched directory on."""
        return any(
            _matches(each, name if os.sep not in each else self._shown(path, each))
            for each in patterns
        )

    def _shown(self, path: str, pattern: str) -> str:
        """The path as a pattern of this kind means it."""
        if os.path.isabs(pattern):
            return path
        for directory in self.directories:
            if path.startswith(directory + os.sep):
                return path[len(directory) + 1 :]
        return path


def _matches(pattern: str, name: str) -> bool:
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatchcase(name, pattern.removeprefix("./").removesuffix("/"))


def _outermost(directories: set[str]) -> Iterator[str]:
    for directory in directories:
        if not any(directory != other and _lies_in(directory, other) for other in directories):
            yield directory


def _lies_in(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip(os.sep) + os.sep)


def _entries(directory: str) -> list[os.DirEntry[str]] | None:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except OSError:
        return None


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Links are not followed: what they lead to is another's, or here already."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _signed(path: str) -> Iterator[tuple[str, Signature]]:
    try:
        status = os.stat(path)
    except OSError:
        return
    yield path, (status.st_mtime_ns, status.st_size, status.st_ino)
