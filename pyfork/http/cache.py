"""What was made of bytes that came before, to be used again when they come again."""

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

MAX_ENTRIES = 512


class BoundedCache(dict[Key, Value]):
    """Remembers up to `MAX_ENTRIES` things.

    Clients choose what they send: a memory that is full begins anew, so that nobody can take it
    for good. Ask it with ``get``: a subscript of a dict's subclass takes four times as long.
    """

    def put(self, key: Key, value: Value) -> None:
        """Remember ``value``."""
        if len(self) >= MAX_ENTRIES:
            self.clear()
        self[key] = value


_CANDIDATES = 256  # a power of 2


class RepeatCache(BoundedCache[Key, Value]):
    """Remembers what is offered a second time.

    What comes once takes no place from what comes often, and is freed at once.
    """

    def __init__(self) -> None:
        self._candidates: list[Key | None] = [None] * _CANDIDATES  # by hash: what came once

    def offer(self, key: Key, value: Value) -> None:
        """Remember ``value``, if ``key`` was offered before and not displaced by another."""
        at = hash(key) & (_CANDIDATES - 1)
        if self._candidates[at] == key:
            self.put(key, value)
        else:
            self._candidates[at] = key
