"""The typed messages that arbiter and worker exchange over a channel.

Every message is a frozen dataclass, declared here once; `encode` and `decode` derive the wire
form (one JSON array: name, then fields by name) from the declarations. File descriptors travel
beside a message, never in it (see `channel`). Nothing here does I/O.
"""

import json
from dataclasses import asdict, dataclass
from typing import get_args


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker: the app is imported, its lifespan started; it accepts, unless it is held."""

    interface: str  # "wsgi" or "asgi"


@dataclass(frozen=True, slots=True)
class Serve:
    """Arbiter, to a worker that was held: your whole generation is ready, accept connections."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Worker, or successor: it could not boot; its exit follows. ``detail`` is a traceback."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Worn:
    """Worker: it serves on, but wants to be replaced (``--max-requests``, ``--max-memory``)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Arbiter: drain and exit 0 within ``grace`` seconds; zero cuts what is still running.

    ``handoff``: other workers serve on and take idle connections over. Without it this is the
    end of the port, and the worker accepts until the kernel's queue is empty.
    """

    grace: float
    handoff: bool = False


@dataclass(frozen=True, slots=True)
class Offered:
    """Retiring worker, with the fd of an idle connection: somebody else may have it."""

    connection: int  # the giver's number for it


@dataclass(frozen=True, slots=True)
class Take:
    """Arbiter, with the fd: serve this connection on, and say so."""

    ticket: int  # the arbiter's number for the handoff


@dataclass(frozen=True, slots=True)
class Taken:
    """Worker: the connection is served here from now on."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Declined:
    """Worker: the connection was not taken, and not a byte of it was read."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Release:
    """Arbiter: the connection was taken; close your copy."""

    connection: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Arbiter: nobody took the connection; it is yours as before."""

    connection: int
    final: bool  # nobody will


@dataclass(frozen=True, slots=True)
class Bequest:
    """Arbiter to its successor, with the listeners' fds: what it may serve on."""

    generation: int  # the first of the successor's own
    addresses: list[str]  # as asked for, in the order of the fds


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Successor: all my workers are ready; drain, and give me what idles."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Arbiter to its successor: you are in charge from now on; I drain."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """Successor, in charge: I was told to stop; do not carry on when I am gone."""


@dataclass(frozen=True, slots=True)
class Dismissed:
    """Arbiter to its successor: you are not to follow; I serve on."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReopenLogs:
    """Arbiter: the log files were rotated; open them anew."""


Message = (
    Ready
    | Serve
    | Failed
    | Worn
    | Retire
    | Offered
    | Take
    | Taken
    | Declined
    | Release
    | Keep
    | Bequest
    | Succeeded
    | Granted
    | Leaving
    | Dismissed
    | ReopenLogs
)

_TYPES: dict[str, type[Message]] = {kind.__name__: kind for kind in get_args(Message)}


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
