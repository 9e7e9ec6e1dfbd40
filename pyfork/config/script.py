"""Settings of ``pyfork run``: differences between a script and an application."""

from collections.abc import Iterable
from typing import Any

from pyfork.config.config import SETTINGS, Config
from pyfork.config.load import Loaded
from pyfork.config.settings.declare import replace
from pyfork.errors import ConfigError
from pyfork.record import asdict

# A script that was not written for pyfork accepts connections by itself and has no time limit,
# unless these are set.
DEFAULTS: dict[str, object] = {"dispatch": "shared", "timeout": 0.0}

# Settings that need pyfork's own server, with the reason why a script cannot use them.
_BINDS = "a script binds for itself: its own arguments stand behind --"
_SERVES = "a script is a server of its own, of which pyfork sees no request"
_MEANINGLESS = {
    **dict.fromkeys(("bind", "backlog", "unix_mode", "unix_owner"), _BINDS),
    **dict.fromkeys(
        (
            *("preload", "preload_unsafe", "warmup", "keep_previous"),
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
    """Return the settings with a script's defaults and without addresses.

    Raises ConfigError: an option of the command line has no meaning for a script.
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
    """Yield remarks on settings without a meaning for a script, or raise ConfigError.

    An option was meant for this script, so it is refused. A file or an environment may be shared
    with applications, so these get a line in the log.
    """
    for name, setting in SETTINGS.items():
        why = _MEANINGLESS.get(name) or (_SERVES if setting.group in _GROUPS else "")
        origin = loaded.origins[name]
        if not why or origin.startswith("default"):
            continue
        if origin.startswith("-"):
            raise ConfigError(f"{origin}: means nothing to pyfork run: {why}")
        if origin not in setting.aliases:  # a general variable such as $PORT
            yield f"{origin}: means nothing to pyfork run: {why}"


def sees_connections(config: Config) -> bool:
    """Whether a setting requires that pyfork sees each connection of a script."""
    return config.dispatch != "shared" or bool(config.timeout or config.max_requests)


def for_program(dispatch: str) -> Config:
    """Return the settings of a worker that a program forked: only ``dispatch`` is given."""
    own: dict[str, Any] = {**DEFAULTS, "dispatch": dispatch}
    return Config(**own)
