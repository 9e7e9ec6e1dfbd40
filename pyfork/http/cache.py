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
