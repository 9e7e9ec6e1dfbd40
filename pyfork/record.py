"""Classes of annotated fields: records, which do not change, and entities, which do.

A record is what `dataclass(frozen=True, slots=True)` makes: a small value, such as a fact, an
action or a message. An entity is what `dataclass(slots=True, eq=False)` makes: it holds state, and
equals only itself. Neither has code that is generated and compiled at every start: a dataclass
takes about 3 million instructions each time, and there are dozens; these take a twentieth of it.
In exchange, making an instance is slower: not for the hot path.
"""

from collections.abc import Callable
from reprlib import recursive_repr
from typing import Any, TypeVar, dataclass_transform, overload

from pyfork.annotations import annotations

T = TypeVar("T")


class _Field:
    """The declaration of a field, by `field`."""

    __slots__ = ("factory", "init")

    def __init__(self, factory: Callable[[], object] | None, *, init: bool) -> None:
        self.factory = factory
        self.init = init


def field(*, default_factory: Callable[[], Any] | None = None, init: bool = True) -> Any:
    """A field whose default is made anew each time, or that ``__post_init__`` sets (no init)."""
    return _Field(default_factory, init=init)


class _Fields:
    """The methods of records and entities."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _given: tuple[str, ...] = ()  # those that the caller gives
    _defaults: dict[str, Any] = {}  # noqa: RUF012 - each class has its own
    _factories: dict[str, Callable[[], Any]] = {}  # noqa: RUF012
    _positional = True

    def __init__(self, *args: Any, **given: Any) -> None:
        fields = self._given
        if args:
            if len(args) > len(fields) or not self._positional:
                raise TypeError(f"{type(self).__name__} takes {fields}, not {args}")
            positional = dict(zip(fields, args, strict=False))
            if not positional.keys().isdisjoint(given):
                raise TypeError(f"{type(self).__name__}: a field was given twice")
            given |= positional
        values = self._defaults | given
        for name, factory in self._factories.items():
            if name not in values:
                values[name] = factory()
        if len(values) != len(fields) or not values.keys() >= set(fields):
            raise TypeError(f"{type(self).__name__} takes {fields}, not {tuple(values)}")
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        """For a class to set what is left."""

    @recursive_repr()  # entities may have each other
    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__name__}({', '.join(shown)})"


class _Record(_Fields):
    """The methods of records beyond those."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name}: records do not change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name}: records do not change")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash((type(self), *_values(self)))


@overload
def record(cls: type[T], /) -> type[T]: ...


@overload
def record(*, kw_only: bool = ...) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T] | None = None, /, *, kw_only: bool = False) -> Any:
    """Make a class of annotated fields, with or without defaults, a record.

    ``kw_only``: fields are given by name alone.
    """
    if cls is None:
        return lambda each: _make(each, _Record, kw_only=kw_only)
    return _make(cls, _Record, kw_only=kw_only)


@overload
def entity(cls: type[T], /) -> type[T]: ...


@overload
def entity(*, kw_only: bool = ...) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(eq_default=False, field_specifiers=(field,))
def entity(cls: type[T] | None = None, /, *, kw_only: bool = False) -> Any:
    """Make a class of annotated fields, with or without defaults, an entity; see `record`."""
    if cls is None:
        return lambda each: _make(each, _Fields, kw_only=kw_only)
    return _make(cls, _Fields, kw_only=kw_only)


def asdict(of: Any) -> dict[str, Any]:
    """The fields of a record, by name; what they hold stays as it is."""
    return {name: getattr(of, name) for name in of._fields}


def fields(of: type) -> tuple[str, ...]:
    """The names of the fields of a record class."""
    names: tuple[str, ...] = of._fields  # type: ignore[attr-defined]
    return names


def _values(of: Any) -> tuple[Any, ...]:
    return tuple([getattr(of, name) for name in of._fields])


def _make(cls: type, base: type, *, kw_only: bool) -> type:
    body = dict(cls.__dict__)
    fields = tuple(annotations(cls))
    declared = {name: body.pop(name) for name in fields if name in body}
    special = {name: each for name, each in declared.items() if isinstance(each, _Field)}
    given = tuple(name for name in fields if name not in special or special[name].init)
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    body |= {
        "__slots__": fields,
        "__match_args__": () if kw_only else given,
        "_fields": fields,
        "_given": given,
        "_defaults": {name: each for name, each in declared.items() if name not in special},
        "_factories": {name: each.factory for name, each in special.items() if each.factory},
        "_positional": not kw_only,
    }
    bases = tuple(each for each in cls.__bases__ if each is not object)
    return type(cls.__name__, (base, *bases), body)
