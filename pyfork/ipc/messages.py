"""The typed messages that arbiter and worker exchange over a channel.

Every message is a frozen dataclass, declared here once; `encode` and `decode` derive the wire
form (one JSON array: name, then fields by name) from the declarations. File descriptors travel
beside a message, never in it (see `channel`). Nothing here does I/O.
"""

import json
from typing import Any, get_args

from pyfork.ipc.fd_name import FdName
from pyfork.record import asdict, record


@record
class WorkerReady:
    """Worker: the app is imported, its lifespan started; it accepts, unless it is held."""

    interface: str  # "wsgi" or "asgi"
    links: str = ""  # pages of the framework, a line each, "docs /docs"; for a console


@record
class WorkerStarted:
    """Worker that a fork server has forked: its process exists."""

    pid: int


@record
class ForkServerReady:
    """Fork server: the application is imported."""


@record
class ForkWorker:
    """Arbiter to a fork server, with the fds of the worker's channel and of its queues."""

    worker: int  # serial
    slot: int
    row: int  # of the scoreboard
    hold_accept: bool
    adds_listeners: bool  # `AddListeners` brings what it accepts on


@record
class StartAccepting:
    """Arbiter, to a worker that was held: your whole generation is ready, accept connections."""


@record
class Failed:
    """Worker, or new arbiter: it could not boot; its exit follows. ``detail`` is a traceback."""

    reason: str
    detail: str


@record
class ErrorPageShown:
    """Worker, in development: the app does not load; it serves a page that says why, and is ready
    like any other. ``detail`` is a traceback."""

    reason: str
    detail: str


@record
class FilesChanged:
    """Watcher: files have changed. This one is the last that was saved."""

    path: str  # from the current directory
    verb: str  # "changed", "is new" or "was deleted"
    others: int
    at: float  # when it was saved, in monotonic seconds


@record
class Recycle:
    """Worker: it serves on, but wants to be replaced (``--max-requests``, ``--max-memory``)."""

    reason: str


@record
class StartDrain:
    """Arbiter: drain and exit 0 within ``grace`` seconds; zero cuts what is still running.

    ``handoff``: other workers serve on and take idle connections over. Without it this is the
    end of the port, and the worker accepts what waits in the kernel's queue.
    """

    grace: float
    handoff: bool = False


@record
class AddListeners:
    """Arbiter, with one fd for each name: accept on these too, unless you do so already."""

    listeners: list[FdName]


@record
class RemoveListeners:
    """Arbiter: stop accepting on these; another worker does."""

    listeners: list[FdName]


@record
class HandoffOffer:
    """Retiring worker, with the fd of an idle connection: somebody else may have it."""

    connection: int  # the giver's number for it


@record
class HandoffTake:
    """Arbiter, with the fd: serve this connection on, and say so."""

    ticket: int  # the arbiter's number for the handoff


@record
class HandoffAccepted:
    """Worker: the connection is served here from now on."""

    ticket: int


@record
class HandoffRefused:
    """Worker: the connection was not taken, and not a byte of it was read."""

    ticket: int


@record
class HandoffDone:
    """Arbiter: the connection was taken; close your copy."""

    connection: int


@record
class HandoffFailed:
    """Arbiter: nobody took the connection; it is yours as before."""

    connection: int
    final: bool  # nobody will


@record
class UpdateCertificates:
    """Arbiter: the certificates on the disk have changed; begin new connections with these.

    The fields of `pyfork.net.tls.pem_files.PemFiles`.
    """

    certificates: list[list[str]]
    keys: list[list[str]]
    authorities: str
    password: str

    def __repr__(self) -> str:
        return "UpdateCertificates(...)"


@record
class ListenerFds:
    """Old arbiter to the new one, with the listeners' fds: what it may serve on."""

    generation: int  # the first of the new arbiter's own
    listeners: list[FdName]  # in the order of the fds


@record
class NewArbiterReady:
    """New arbiter: all my workers are ready; drain, and give me what idles."""


@record
class HandoverGranted:
    """Old arbiter to the new one: accept from now on; I drain."""


@record
class NewArbiterStopping:
    """New arbiter, active: I am stopping; do not resume when I am gone."""


@record
class UpgradeRejected:
    """Old arbiter to the new one: the upgrade is rejected; I go on serving."""

    reason: str


@record
class QueryServer:
    """Worker, with the fd of an unbound socket: a script binds it to ``address``.

    If nobody has bound the same ``key`` before, this socket is bound, and is the handle.
    """

    number: int  # of the question
    key: str
    address: list[str | int]  # resolved; one string for a unix socket
    umask: int = 0


@record
class ServerHandle:
    """Arbiter, with the fd of the handle; or without it, and then it could not be bound."""

    number: int
    errno: int = 0
    reason: str = ""


@record
class ScriptListening:
    """Worker: the script listens on this handle."""

    key: str
    dispatch: str = "shared"  # how it is to have its connections: --dispatch


@record
class ScriptClosed:
    """Worker: the script has closed its copy of this handle."""

    key: str


@record
class FileQuery:
    """Worker: the script is about to remove a socket file. Is it that of a handle?"""

    number: int
    path: str  # absolute


@record
class FileAnswer:
    """Arbiter: whether it is."""

    number: int
    held: bool


@record
class Online:
    """Worker of a program: it runs, and its script is about to."""


@record
class UserMessage:
    """Either side, for the other's program: whatever JSON can say."""

    value: Any


@record
class WorkerQuitting:
    """Worker of a program: it leaves of its own accord."""

    now: bool  # or its clients are to be answered first, and it waits to be told to `StartDrain`


@record
class ReopenLogs:
    """Arbiter: the log files were rotated; open them anew."""


Message = (
    WorkerReady
    | WorkerStarted
    | ForkServerReady
    | ForkWorker
    | StartAccepting
    | Failed
    | ErrorPageShown
    | FilesChanged
    | Recycle
    | StartDrain
    | AddListeners
    | RemoveListeners
    | HandoffOffer
    | HandoffTake
    | HandoffAccepted
    | HandoffRefused
    | HandoffDone
    | HandoffFailed
    | UpdateCertificates
    | ListenerFds
    | NewArbiterReady
    | HandoverGranted
    | NewArbiterStopping
    | UpgradeRejected
    | QueryServer
    | ServerHandle
    | ScriptListening
    | ScriptClosed
    | FileQuery
    | FileAnswer
    | Online
    | UserMessage
    | WorkerQuitting
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
    if "listeners" in fields:
        fields["listeners"] = [FdName(*listener) for listener in fields["listeners"]]
    return _TYPES[name](**fields)
