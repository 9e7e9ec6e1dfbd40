"""Declaration of settings in groups, which one class combines.

A declaration has everything about a setting; name and type are the attribute's own. It is not a
dataclass: that compiles code at each start and takes ten times as long.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, dataclass_transform

from pyfork.config.types import ValueType
from pyfork.record import record

T = TypeVar("T")


@record(kw_only=True)
class Setting:
    """One declared setting, as every source and page sees it."""

    name: str  # the attribute of Config, and the key in files
    default: Any
    kind: ValueType[Any]
    flags: tuple[str, ...]  # short first; empty for the positional argument
    off: str | None  # the flag that turns a boolean off
    repeat: bool  # the flag may be given more than once
    aliases: Mapping[str, str]  # other environment variables -> a format for their value
    group: str
    help: str
    since: str
    python: bool  # only a Python configuration file can set it

    @property
    def env(self) -> str:
        """Its environment variable."""
        return f"PYFORK_{self.name.upper()}"


class _Declaration(dict[str, Any]):
    """The arguments of `setting`, until its group adds the name."""


def setting(
    default: T,
    kind: ValueType[T],
    *,
    flags: str,
    help: str,
    since: str = "0.1",
    off: str | None = None,
    repeat: bool = False,
    aliases: Mapping[str, str] | None = None,
    python: bool = False,
) -> T:
    """Declare an attribute of a group; ``flags`` are separated by spaces."""
    declared: Any = _Declaration(
        default=default,
        kind=kind,
        flags=tuple(flags.split()),
        off=off,
        repeat=repeat,
        aliases=aliases or {},
        help=help,
        since=since,
        python=python,
    )
    return declared  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting,))
def group(name: str) -> Callable[[type[T]], type[T]]:
    """Decorate a class of settings, which has no instances; ``name`` is the heading in docs."""

    def mark(cls: type[T]) -> type[T]:
        for attribute, declared in list(vars(cls).items()):
            if isinstance(declared, _Declaration):
                setattr(cls, attribute, Setting(name=attribute, group=name, **declared))
        return cls

    return mark


@dataclass_transform(frozen_default=True, kw_only_default=True)
def config(cls: type[T]) -> type[T]:
    """Decorate the class whose instances have a value for each inherited setting."""
    declared = {
        name: value
        for base in cls.__bases__
        for name, value in vars(base).items()
        if isinstance(value, Setting)
    }
    body = {"__doc__": cls.__doc__, "__module__": cls.__module__, "_declared": declared}
    defaults = {name: each.default for name, each in declared.items()}
    made: type[T] = type(cls.__name__, (_Values,), body | {"_defaults": defaults})
    return made


def declarations(of: type) -> dict[str, Setting]:
    """Return the settings that the class made by `config` declares, by name, in order."""
    declared: dict[str, Setting] = of._declared  # type: ignore[attr-defined]
    return declared


def replace(of: T, **changes: Any) -> T:
    """Return a copy with ``changes``."""
    return type(of)(**vars(of) | changes)


class _Values:
    """Base of `config` classes: holds immutable values."""

    _defaults: dict[str, Any]

    def __init__(self, **given: Any) -> None:
        if unknown := given.keys() - self._defaults.keys():
            raise TypeError(f"no such settings: {', '.join(sorted(unknown))}")
        self.__dict__.update(self._defaults | given)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: a configuration does not change; a reload makes a new one")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        changed = (f"{k}={v!r}" for k, v in vars(self).items() if v != self._defaults[k])
        return f"Config({', '.join(changed)})"
