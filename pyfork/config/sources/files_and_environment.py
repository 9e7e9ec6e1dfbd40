"""Sources besides the command line: the configuration file and the environment.

Each source becomes a mapping from setting names to `RawValue`; values are parsed elsewhere.
"""

import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

from pyfork.config.config import SETTINGS
from pyfork.config.sources.raw_value import FileSettings, RawValue, Source, suggestion
from pyfork.errors import ConfigError
from pyfork.system import environment
from pyfork.system.systemd_env import passed_sockets

ARGUMENTS = "PYFORK_CMD_ARGS"
GUNICORN_ARGUMENTS = "GUNICORN_CMD_ARGS"  # read if pyfork's own is missing
# Searched if --config names none; the first existing one counts.
FILES = ("pyfork.toml", "pyfork.conf.py", "pyproject.toml", "gunicorn.conf.py")
OWN_VARIABLES = frozenset({ARGUMENTS, "PYFORK_WORKER", environment.UPGRADE})
"""Variables that pyfork reads or sets, and that are not settings."""

# Kubernetes and Docker links describe services in variables of this shape. For a service named
# pyfork or pyfork-something they begin with PYFORK_; they are not settings.
_SERVICE_LINK = (
    r"PYFORK_(\w+_)?"
    r"(SERVICE_(HOST|PORT)(_\w+)?=|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?=|PORT=\w+://)"
)


def from_environment(environ: Mapping[str, str]) -> Source:
    """Return the settings in variables. Empty ones count as not set.

    Sockets from a service manager are the addresses to bind, unless a variable gives others. They
    override a file, since they were made for this process.

    Raises:
        ConfigError: a PYFORK_ variable names no setting.
    """
    given = {}
    settings = [each for each in SETTINGS.values() if not each.python]
    for setting in settings:
        for name, form in {setting.env: "{}", **setting.aliases}.items():
            if setting.name not in given and (text := environ.get(name)):
                given[setting.name] = RawValue(form.format(text), name)
    if "bind" not in given and (passed := passed_sockets(environ, os.getpid())):
        given["bind"] = RawValue(tuple(passed), "LISTEN_FDS")
    known = {each.env for each in settings}
    for name in sorted(environ):
        if not name.startswith("PYFORK_") or name in known | OWN_VARIABLES:
            continue
        if not re.match(_SERVICE_LINK, f"{name}={environ[name]}"):
            raise ConfigError(f"{name}: no such variable{suggestion(name, known)}")
    return given


def arguments_of(environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the variable with further arguments, and the arguments.

    Raises:
        ConfigError: a quote in it is not closed.
    """
    name = GUNICORN_ARGUMENTS if ARGUMENTS not in environ else ARGUMENTS
    try:
        return name, shlex.split(environ.get(name, ""))
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


def from_file(path: str | None, directory: str) -> FileSettings:
    """Return the settings of the file at ``path``, or of the first existing file of `FILES`.

    Args:
        path: the value of ``--config``, or None to search; then there may be no file.
        directory: the base of relative paths, and the directory of the search.

    Raises:
        ConfigError: the file cannot be read or parsed, or has an unknown setting.
    """
    if path is not None:
        return _from(path, directory, named=True)
    for name in FILES:
        if os.path.exists(os.path.join(directory, name)):
            found = _from(name, directory, named=False)
            if name == "gunicorn.conf.py":
                note = f"{name} is used, gunicorn's configuration: there is none of pyfork's"
                return FileSettings(found.given, (note, *found.notes))
            if found.given or name != "pyproject.toml":
                return found
    return FileSettings()


def _from(path: str, directory: str, *, named: bool) -> FileSettings:
    """Read a file. ``named``: the user named it."""
    if path.startswith(("file:", "python:")) or path.endswith(".py"):
        from pyfork.config.sources import python_file  # it runs code of the user

        return python_file.read(path, directory)
    text = _read(os.path.join(directory, path), path)
    if not named and path == "pyproject.toml" and not _may_have_ours(text):
        return FileSettings()
    return FileSettings(_settings(path, _table(path, _parse(text, path), required=named)))


def _read(path: str, shown: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode()
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{shown}: is not TOML: {error}") from None


def _may_have_ours(text: str) -> bool:
    """Whether ``text`` may have a tool.pyfork table: both words in one line, or a bare "tool".

    A definite answer takes a TOML parser, whose import takes milliseconds. Most pyproject.toml
    files that the search finds have no such table.
    """
    lines = (line for line in text.splitlines() if "tool" in line)
    return any("pyfork" in line or "." not in line for line in lines)


def _parse(text: str, shown: str) -> dict[str, Any]:
    import tomllib  # most starts have no file

    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise ConfigError(f"{shown}: is not TOML: {error}") from None


def _table(shown: str, document: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """Return the table of settings; empty if a pyproject.toml that the search found has none."""
    if os.path.basename(shown) != "pyproject.toml":
        return document
    tool = document.get("tool")
    table = tool.get("pyfork") if isinstance(tool, dict) else None
    if table is None and not required:
        return {}
    if table is None:
        raise ConfigError(f"{shown}: has no [tool.pyfork] table")
    if not isinstance(table, dict):
        raise ConfigError(f"{shown}: tool.pyfork is not a table")
    return table


def _settings(shown: str, table: dict[str, Any]) -> Source:
    given: dict[str, RawValue] = {}
    for key, raw in table.items():
        name = key.replace("-", "_")
        if name not in SETTINGS:
            raise ConfigError(f"{shown}: {key}: no such setting{suggestion(name, SETTINGS)}")
        if SETTINGS[name].python:
            raise ConfigError(f"{shown}: {key}: write it in a Python file, such as pyfork.conf.py")
        if name in given:
            raise ConfigError(f"{shown}: {key}: is there twice, with - and with _")
        given[name] = RawValue(raw, f"{shown}: {key}")
    return given
