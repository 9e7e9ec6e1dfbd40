"""How a setting is declared: everything about it that is not its name, type and default.

Those three are the dataclass field's own; `declarations` puts the two halves together.
"""

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, TypeVar

from pyfork.config.values import Kind
from pyfork.record import record

T = TypeVar("T")

_KEY = "pyfork"


@record(kw_only=True)
class Setting:
    """One declared setting, as every source and page sees it."""

    name: str  # the attribute of Config, and the key in files
    default: Any
    kind: Kind[Any]
    flags: tuple[str, ...]  # short first; empty for the positional argument
    off: str | None  # the flag that switches a boolean off
    repeat: bool  # the flag may be given more than once
    aliases: Mapping[str, str]  # further environment names -> a format for their value
    group: str
    help: str
    since: str

    @property
    def env(self) -> str:
        """Its own environment variable."""
        return f"PYFORK_{self.name.upper()}"


def setting(
    default: T,
    kind: Kind[T],
    *,
    flags: str,
    group: str,
    help: str,
    since: str = "0.1",
    off: str | None = None,
    repeat: bool = False,
    aliases: Mapping[str, str] | None = None,
) -> T:
    """Declare a field of Config; ``flags`` are separated by spaces."""
    half = {
        "kind": kind,
        "flags": tuple(flags.split()),
        "off": off,
        "repeat": repeat,
        "aliases": aliases or {},
        "group": group,
        "help": help,
        "since": since,
    }
    return field(default=default, metadata={_KEY: half})


def declarations(config: type) -> dict[str, Setting]:
    """The settings that the dataclass ``config`` declares, by name, in order."""
    return {
        each.name: Setting(name=each.name, default=each.default, **each.metadata[_KEY])
        for each in fields(config)
    }
