"""What is different where a script is run and not an application served."""

from collections.abc import Iterable
from typing import Any

from pyfork.config.config import SETTINGS, Config
from pyfork.config.load import Loaded
from pyfork.config.settings.declare import replace
from pyfork.errors import ConfigError
from pyfork.record import asdict

# A script that nobody wrote for pyfork accepts as it would alone, and is not judged by how long it
# takes, unless that is asked for.
DEFAULTS: dict[str, object] = {"dispatch": "shared", "timeout": 0.0}

# What belongs to the server that an application is served by, and why a script has no use of it.
_BINDS = "a script binds for itself: its own arguments stand behind --"
_SERVES = "a script is a server of its own, of which pyfork sees no request"
_MEANINGLESS = {
    **dict.fromkeys(("bind", "backlog", "unix_mode", "unix_owner"), _BINDS),
    **dict.fromkeys(
        (
            *("preload", "preload_unsafe", "warmup"),
            *("factory", "interface", "lifespan", "root_path", "worker_class", "threads"),
            *("worker_connections", "loop", "access_logfile", "access_logformat"),
            *("keep_alive", "header_timeout", "body_timeout", "body_min_rate"),
            *("write_timeout", "write_min_rate"),
        ),
        _SERVES,
    ),
}
_GROUPS = ("HTTP", "TLS", "WebSocket", "Limits")


def for_script(loaded: Loaded) -> Loaded:
    """The same settings, with a script's defaults; it binds for itself.

    Raises ConfigError: the command line has an option that means nothing for a script.
    """
    notes = tuple(_unused(loaded))
    defaults = {**DEFAULTS, "access_logfile": None}
    own = {
        name: each for name, each in defaults.items() if loaded.origins[name].startswith("default")
    }
    changes = {
        "config": replace(loaded.config, bind=(), **own),
        "notes": (*loaded.notes, *notes),
        "origins": {**loaded.origins, **dict.fromkeys(own, "default of pyfork run")},
    }
    return Loaded(**asdict(loaded) | changes)


def _unused(loaded: Loaded) -> Iterable[str]:
    """What was said of an application: refused as an option, which was meant for this script; a
    line for the log where a file or an environment says it, which applications may share."""
    for name, each in SETTINGS.items():
        why = _MEANINGLESS.get(name) or (_SERVES if each.group in _GROUPS else "")
        origin = loaded.origins[name]
        if not why or origin.startswith("default"):
            continue
        if origin.startswith("-"):
            raise ConfigError(f"{origin}: means nothing to pyfork run: {why}")
        if origin not in each.aliases:  # such as $PORT, which is there whatever runs
            yield f"{origin}: means nothing to pyfork run: {why}"


def sees_connections(config: Config) -> bool:
    """Whether anything is asked for that has to see each connection of a script."""
    return config.dispatch != "shared" or bool(config.timeout or config.max_requests)


def for_program(dispatch: str) -> Config:
    """Of a worker of a program that is its own primary: nothing but what that has said."""
    own: dict[str, Any] = {**DEFAULTS, "dispatch": dispatch}
    return Config(**own)
