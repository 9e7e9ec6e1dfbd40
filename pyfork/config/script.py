"""What is different where a script is run and not an application served."""

from typing import Any

from pyfork.config.declare import replace
from pyfork.config.load import Loaded
from pyfork.config.settings import Config
from pyfork.record import asdict

# A script that nobody wrote for pyfork accepts as it would alone, and is not judged by how long it
# takes, unless that is asked for.
DEFAULTS: dict[str, object] = {"dispatch": "shared", "timeout": 0.0}


def for_script(loaded: Loaded) -> Loaded:
    """The same settings, with a script's defaults; it binds for itself."""
    own = {name: each for name, each in DEFAULTS.items() if loaded.origins[name] == "default"}
    changes = {
        "config": replace(loaded.config, bind=(), **own),
        "origins": {**loaded.origins, **dict.fromkeys(own, "default of pyfork run")},
    }
    return Loaded(**asdict(loaded) | changes)


def for_program(dispatch: str) -> Config:
    """Of a worker of a program that is its own primary: nothing but what that has said."""
    own: dict[str, Any] = {**DEFAULTS, "dispatch": dispatch}
    return Config(**own)
