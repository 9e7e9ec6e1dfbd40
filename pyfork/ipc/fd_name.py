"""The name of a listening descriptor that is sent to another process."""

from enum import StrEnum
from typing import NamedTuple


class FdKind(StrEnum):
    """The kind of the open file behind the descriptor."""

    LISTENER = "listener"  # of --bind; its address is the text that was asked for
    HANDLE = "handle"  # bound by a script; its address is the key of the handle
    QUEUE = "queue"  # an `FdQueue` on which the arbiter puts connections of that handle


class FdName(NamedTuple):
    """The name of one descriptor. JSON makes a list of it, in a message or a saved state."""

    kind: FdKind
    address: str
    number: int = 0  # of several sockets with the same address (``--dispatch reuseport``)
