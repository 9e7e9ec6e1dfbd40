"""Caches of results for bytes that clients send repeatedly."""

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

MAX_ENTRIES = 512


class BoundedCache(dict[Key, Value]):
    """A cache of up to `MAX_ENTRIES` results.

    Clients choose what they send, so a full cache is emptied: no client can fill it for good. Look
    up with ``get``: a subscript of a dict's subclass takes four times as long.
    """

    def put(self, key: Key, value: Value) -> None:
        """Store ``value``."""
        if len(self) >= MAX_ENTRIES:
            self.clear()
        self[key] = value
