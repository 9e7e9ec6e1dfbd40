"""Local variables as text: bounded, and without secrets.

A value is the application's, so that its ``__repr__`` may be slow, huge or broken. Query sets are
not evaluated. Names decide which values are masked; a secret under another name is shown, to the
developer only.
"""

import re
import reprlib
from collections.abc import Mapping
from types import FrameType, ModuleType
from typing import Any

MOST = 24  # variables of one frame
LONGEST = 240  # characters of one value
MASK = "********"
_SECRET = re.compile(
    r"(?i)passw|secret|token|api_?key|auth|cookie|session|credential|private|signature|csrf|dsn"
    r"|database_url|^key$"
)
_QUERIES = ("django.db.models.query", "sqlalchemy.orm.query")  # a repr asks the database


def is_secret(name: str) -> bool:
    """Whether what is called ``name`` is masked."""
    return _SECRET.search(name.replace("-", "_")) is not None


def variables(frame: FrameType) -> tuple[tuple[str, str], ...]:
    """Names and values of ``frame``, in the order in which they were made."""
    shown = []
    for name, value in frame.f_locals.items():
        if name.startswith("__") or isinstance_of(value, (ModuleType, type)):
            continue
        shown.append((name, MASK if is_secret(name) else _text(value)))
        if len(shown) == MOST:
            break
    return tuple(shown)


def isinstance_of(value: object, kinds: tuple[type, ...]) -> bool:
    """As `isinstance`, but for what a proxy says of itself."""
    return issubclass(type(value), kinds)


def _text(value: object) -> str:
    kind = type(value)
    if kind.__module__.startswith(_QUERIES):
        return f"<{kind.__qualname__}, not evaluated>"
    try:
        text = _BOUNDED.repr(value)
    except Exception as error:  # noqa: BLE001 - the application's own __repr__
        return f"<{kind.__qualname__}, whose repr raises {type(error).__qualname__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


class _Bounded(reprlib.Repr):
    """Short, and with masked values in mappings."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = LONGEST
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = 12
        self.maxlevel = 3

    def repr_dict(self, x: Mapping[Any, Any], level: int) -> str:
        """A dictionary, of which secrets are masked."""
        masked = {
            key: _Mask() if isinstance(key, str) and is_secret(key) else value
            for key, value in list(x.items())[: self.maxdict + 1]
        }
        return super().repr_dict(masked, level)


class _Mask:
    def __repr__(self) -> str:
        return MASK


_BOUNDED = _Bounded()
