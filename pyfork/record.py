"""Records: small frozen values, such as facts, actions and messages.

What `dataclass(frozen=True, slots=True)` makes, but without code that is generated and compiled at
every start: a dataclass takes about 3 million instructions each time, and there are dozens; a
record takes a twentieth of it. In exchange, making an instance is slower: not for the hot path.
"""

from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


class _Record:
    """What all records do."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _defaults: dict[str, Any] = {}  # noqa: RUF012 - each record class has its own
    _positional = True

    def __init__(self, *args: Any, **given: Any) -> None:
        fields = self._fields
        if args:
            if len(args) > len(fields) or not self._positional:
                raise TypeError(f"{type(self).__name__} takes {fields}, not {args}")
            positional = dict(zip(fields, args, strict=False))
            if not positional.keys().isdisjoint(given):
                raise TypeError(f"{type(self).__name__}: a field was given twice")
            given |= positional
        values = self._defaults | given
        if len(values) != len(fields) or not values.keys() >= set(fields):
            raise TypeError(f"{type(self).__name__} takes {fields}, not {tuple(values)}")
        for field, value in values.items():
            object.__setattr__(self, field, value)

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

    def __repr__(self) -> str:
        shown = (f"{field}={getattr(self, field)!r}" for field in self._fields)
        return f"{type(self).__name__}({', '.join(shown)})"


@overload
def record(cls: type[T], /) -> type[T]: ...


@overload
def record(*, kw_only: bool = ...) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True)
def record(cls: type[T] | None = None, /, *, kw_only: bool = False) -> Any:
    """Make a class of annotated fields, with or without defaults, a record.

    ``kw_only``: fields are given by name alone.
    """
    if cls is None:
        return lambda each: _make(each, kw_only=kw_only)
    return _make(cls, kw_only=kw_only)


def asdict(of: Any) -> dict[str, Any]:
    """The fields of a record, by name."""
    return {field: getattr(of, field) for field in of._fields}


def _values(of: Any) -> tuple[Any, ...]:
    return tuple([getattr(of, field) for field in of._fields])


def _make(cls: type, *, kw_only: bool) -> type:
    body = dict(cls.__dict__)
    fields = tuple(body.get("__annotations__", ()))
    defaults = {field: body.pop(field) for field in fields if field in body}
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    body |= {
        "__slots__": fields,
        "__match_args__": () if kw_only else fields,
        "_fields": fields,
        "_defaults": defaults,
        "_positional": not kw_only,
    }
    return type(cls.__name__, (_Record,), body)
