"""Merges four sources into one Config: defaults, file, environment and command line.

A reload uses the same arguments, environment and directory, so only the file may have changed.
Pure, except for reading that file and the number of CPUs (``--workers auto``).
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyfork.config.command_line.arguments import Arguments, parse
from pyfork.config.config import SETTINGS, Config
from pyfork.config.settings.declare import Setting
from pyfork.config.sources.files_and_environment import (
    ARGUMENTS,
    arguments_of,
    from_environment,
    from_file,
)
from pyfork.config.sources.raw_value import RawValue, Source
from pyfork.config.types import WORKER_CLASSES
from pyfork.errors import ConfigError
from pyfork.record import record

DEVELOPMENT_GRACE = 1.0  # seconds that an open browser tab can delay the end of the old code

# About a password on the command line.
_READABLE = (
    "every user of this machine can read a command line; PYFORK_KEYFILE_PASSWORD and "
    "--keyfile-password-file keep a secret"
)


@record
class Loaded:
    """The settings, and the origin of each: "-w", "pyfork.toml: workers"..."""

    config: Config
    origins: Mapping[str, str]
    notes: tuple[str, ...] = ()  # remarks on foreign names, one line each, for the log
    warnings: tuple[str, ...] = ()  # values that are probably mistakes, one line each


def load(arguments: Arguments, environ: Mapping[str, str], directory: str) -> Loaded:
    """Read and merge every source.

    Args:
        arguments: the command line.
        environ: the environment of pyfork's start.
        directory: the directory of pyfork's start.

    Raises:
        ConfigError: a setting is unknown, or a value is invalid.
    """
    lower = _from_variable(*arguments_of(environ))
    file = from_file(arguments.file or lower.file, directory)
    return merge(
        file.given,
        from_environment(environ),
        lower.given,
        arguments.given,
        notes=(*file.notes, *lower.notes, *arguments.notes),
        directory=directory,
    )


def _from_variable(variable: str, words: Sequence[str]) -> Arguments:
    """Parse the arguments in a variable, which can give settings but no command."""
    if not words:
        return Arguments(given={}, file=None, action="serve")
    lower = parse(words, origin=f"{variable}: ")
    if lower.action != "serve":
        flag = "--" + lower.action.replace("_", "-")
        raise ConfigError(f"{variable}: {flag} belongs on the command line")
    if variable == ARGUMENTS:
        return lower
    note = f"{variable} is read, for there is no {ARGUMENTS}"
    return Arguments(lower.given, lower.file, lower.action, lower.takeover, (note, *lower.notes))


def merge(*sources: Source, notes: tuple[str, ...] = (), directory: str = "") -> Loaded:
    """Return the settings from ``sources``; each source overrides earlier ones.

    Overridden values are not parsed, so their errors do not matter.

    Raises:
        ConfigError: a value is invalid.
    """
    given: dict[str, RawValue] = {}
    for source in sources:
        given |= source
    if "worker_class" in given and given["worker_class"].raw not in WORKER_CLASSES:
        from pyfork.config.compat.classes import replace_class  # rarely needed

        notes = (*notes, *replace_class(given))
    values = {name: _read(SETTINGS[name], each) for name, each in given.items()}
    if path := values.get("env_file"):
        from pyfork.config.sources.dotenv import variables  # rarely needed

        ahead = variables(os.path.join(directory, path), given["env_file"].origin)
        values["env"] = (*ahead, *values.get("env", ()))
    origins = {name: given[name].origin if name in given else "default" for name in SETTINGS}
    if "unix_mode" not in given and values.get("umask") is not None:
        # As in gunicorn, the umask decides who may connect to a unix socket.
        values["unix_mode"] = SETTINGS["unix_mode"].default & ~values["umask"]
        origins["unix_mode"] = origins["umask"]
    if values.get("live") and "reload" not in values:
        values["reload"], origins["reload"] = True, origins["live"]
    if values.get("reload"):
        _reload_defaults(values, origins)
    if values.get("preload") and (values.get("reload") or sys.platform != "linux"):
        why = "it does nothing with --reload" if values.get("reload") else "it needs Linux"
        values["preload"], notes = False, (*notes, f"{origins['preload']}: {why}")
    if origins["keyfile_password"].startswith("--"):
        notes = (*notes, f"{origins['keyfile_password']}: {_READABLE}")
    return Loaded(Config(**values), origins, notes, tuple(_suspicions(values, origins)))


def _suspicions(values: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[str]:
    """Warn of values that are valid and probably not intended."""
    pid = values.get("pid") or ""
    if pid.isdecimal():
        yield f"{origins['pid']}: {pid} is the name of a pid file; for the port, write -b :{pid}"


def _reload_defaults(values: dict[str, Any], origins: dict[str, str]) -> None:
    """Apply the defaults under --reload: the old code ends at once, and no timeout kills a
    worker in a debugger."""
    changes = {
        "graceful_timeout": DEVELOPMENT_GRACE,
        "reload_parallel": values.get("workers", SETTINGS["workers"].default),
        "timeout": 0.0,
        "boot_timeout": 0.0,
        "access_logfile": "-",
    }
    for name, value in changes.items():
        if name not in values:
            values[name], origins[name] = value, f"default of {origins['reload']}"


def table(loaded: Loaded) -> str:
    """Return the output of ``--print-config``: one line for each setting, with value and origin."""
    shown = {name: SETTINGS[name].kind.show(getattr(loaded.config, name)) for name in SETTINGS}
    wide = max(map(len, shown))
    return "\n".join(
        f"{name:{wide}}  {text or 'none':24}  {loaded.origins[name]}"
        for name, text in shown.items()
    )


def _read(setting: Setting, given: RawValue) -> Any:
    try:
        return setting.kind.read(given.raw)
    except ConfigError as error:
        raise ConfigError(f"{given.origin}: {error}") from None
    except ValueError:
        written = ", ".join(given.raw) if isinstance(given.raw, tuple) else given.raw
        raise ConfigError(f"{given.origin}: {written!r} is not {setting.kind.expects}") from None
