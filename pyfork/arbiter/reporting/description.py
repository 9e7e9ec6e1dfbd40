"""The answer to ``pyfork describe``, besides the status: how it was started and set up.

Of the environment it has the names only, since values may be secrets.
"""

import os
import resource
from collections.abc import Mapping
from typing import Any

from pyfork.arbiter.upgrade.child import command_line
from pyfork.config.config import SETTINGS, Config
from pyfork.config.directory import Directory

_HIDDEN = "***"
_SECRET_FLAG = "--keyfile-password"
_LIMITS = {"open files": resource.RLIMIT_NOFILE, "core file size": resource.RLIMIT_CORE}


def describe_start(
    config: Config, origins: Mapping[str, str], directory: Directory
) -> dict[str, Any]:
    """Command line, directory, settings with their sources, log files and limits."""
    return {
        "command": _without_secrets(command_line()),
        "directory": directory.base,
        "settings": [
            {"name": name, "value": _shown(config, name), "origin": origins.get(name, "")}
            for name in SETTINGS
        ],
        "environment": sorted(os.environ),
        "logs": {
            "error": _target(config.error_logfile, 2),
            "access": _target(config.access_logfile, 1),
        },
        "limits": {name: _limit(number) for name, number in _LIMITS.items()},
    }


def _shown(config: Config, name: str) -> str:
    value = getattr(config, name)
    if name == "env":  # the values may be secrets
        return ", ".join(sorted({variable for variable, _ in value}))
    return str(SETTINGS[name].kind.show(value))


def _without_secrets(words: list[str]) -> list[str]:
    shown, hide = [], False
    for word in words:
        if word.startswith(f"{_SECRET_FLAG}="):
            word = f"{_SECRET_FLAG}={_HIDDEN}"
        shown.append(_HIDDEN if hide else word)
        hide = word == _SECRET_FLAG
    return shown


def _target(setting: str | None, stream: int) -> str | None:
    """The file that a log goes to, ``-`` being one of the standard streams; None: there is none."""
    if setting is None:
        return None
    if setting != "-":
        return os.path.abspath(setting)
    try:
        return os.readlink(f"/proc/self/fd/{stream}")
    except OSError:
        return "stderr" if stream == 2 else "stdout"


def _limit(number: int) -> int | None:
    """The soft limit; None: there is none."""
    soft, _ = resource.getrlimit(number)
    return None if soft == resource.RLIM_INFINITY else soft
