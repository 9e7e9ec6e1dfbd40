"""The typed messages that arbiter and worker exchange over a channel.

Every message is a frozen dataclass, declared here once; `encode` and `decode` derive the wire
form (one JSON array: name, then fields by name) from the declarations. File descriptors travel
beside a message, never in it (see `channel`). Nothing here does I/O.
"""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker: the app is imported, its lifespan started, and connections are accepted."""

    interface: str  # "wsgi" or "asgi"


@dataclass(frozen=True, slots=True)
class Failed:
    """Worker: it could not boot; its exit follows. ``detail`` is the app's traceback."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Worn:
    """Worker: it serves on, but wants to be replaced (``--max-requests``, ``--max-memory``)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Arbiter: drain and exit 0 within ``grace`` seconds; zero cuts what is still running."""

    grace: float


@dataclass(frozen=True, slots=True)
class ReopenLogs:
    """Arbiter: the log files were rotated; open them anew."""


Message = Ready | Failed | Worn | Retire | ReopenLogs

_TYPES: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Ready, Failed, Worn, Retire, ReopenLogs)
}


def encode(message: Message) -> bytes:
    """The wire form of a message."""
    return json.dumps([type(message).__name__, asdict(message)]).encode()


def decode(data: bytes) -> Message:
    """The message that `encode` made ``data`` from.

    Raises KeyError, TypeError or ValueError for anything else: both ends are of one release,
    so that is a defect and ends the process that sees it.
    """
    name, fields = json.loads(data)
    return _TYPES[name](**fields)
