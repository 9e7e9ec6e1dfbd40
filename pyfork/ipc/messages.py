"""The messages between arbiter, workers and watcher, and between two arbiters.

Each message is a record, declared once; its docstring names the sender first. `encode` and `decode`
derive the wire form from the declarations: a JSON array of the name and the fields. File
descriptors travel beside a message, never in it (see `channel`). Nothing here does I/O.
"""

import json
from typing import Any, get_args

from pyfork.ipc.fd_name import FdName
from pyfork.record import asdict, field, record


@record
class WorkerReady:
    """Worker: the application is loaded; the worker accepts, unless it waits for StartAccepting."""

    interface: str  # "wsgi" or "asgi"
    links: str = ""  # pages of the framework, a line each, "docs /docs"; for a console
    code: list[float] = field(default_factory=list)  # of `loader.code_version`; empty: unknown
    debug: bool = False  # the application shows its errors to clients


@record
class WorkerStarted:
    """Worker that a fork server has forked: its process exists."""

    pid: int


@record
class ForkServerReady:
    """Fork server: the application is imported."""


@record
class ForkWorker:
    """Arbiter to a fork server, with the fds of the worker's channel, queues and stack file."""

    worker: int  # serial
    slot: int
    generation: int  # that of the fork server, or one that brings that one back
    row: int  # of the scoreboard
    hold_accept: bool
    adds_listeners: bool  # `AddListeners` brings what it accepts on


@record
class StartAccepting:
    """Arbiter: all workers of the generation are ready; accept connections."""


@record
class Failed:
    """Worker or new arbiter: it could not boot, and exits. ``detail`` is a traceback."""

    reason: str
    detail: str


@record
class ErrorPageShown:
    """Worker, with --reload: the application does not load, and the worker serves the error page.

    ``detail`` is a traceback.
    """

    reason: str
    detail: str


@record
class FilesChanged:
    """Watcher: files have changed. The fields are those of the file that was saved last."""

    path: str  # relative to the current directory
    verb: str  # "changed", "is new" or "was deleted"
    others: int
    at: float  # when it was saved, in monotonic seconds


@record
class Recycle:
    """Worker: replace it (``--max-requests``, ``--max-memory``); it serves until then."""

    reason: str


@record
class StartDrain:
    """Arbiter: drain, and exit with status 0 within ``grace`` seconds; zero cuts running requests.

    ``handoff``: other workers keep serving, and take idle connections over. Without it the server
    ends, and the worker accepts the connections that wait in the kernel's queue.
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
    """Draining worker, with the fd of an idle connection: another worker may take it."""

    connection: int  # the sender's number for it


@record
class HandoffTake:
    """Arbiter, with the fd: take this connection over, and answer."""

    ticket: int  # the arbiter's number for the handoff


@record
class HandoffAccepted:
    """Worker: it serves the connection from now on."""

    ticket: int


@record
class HandoffRefused:
    """Worker: it has not taken the connection, and read no byte of it."""

    ticket: int


@record
class HandoffDone:
    """Arbiter: another worker has the connection; close your copy."""

    connection: int


@record
class HandoffFailed:
    """Arbiter: no worker took the connection; keep it."""

    connection: int
    final: bool  # no worker ever will


@record
class UpdateCertificates:
    """Arbiter: the certificates on the disk have changed; use these for new connections.

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
    """Old arbiter, with the fds: the listeners that the new one may serve on."""

    generation: int  # the first one of the new arbiter
    listeners: list[FdName]  # in the order of the fds


@record
class NewArbiterReady:
    """New arbiter: all its workers are ready; hand over."""


@record
class HandoverGranted:
    """Old arbiter: the new one is active from now on; the old one drains."""


@record
class NewArbiterStopping:
    """New arbiter, active: it was told to stop; do not resume when it is gone."""


@record
class UpgradeRejected:
    """Old arbiter: the upgrade has failed, and the old arbiter keeps serving."""

    reason: str


@record
class QueryServer:
    """Worker, with the fd of an unbound socket: a script binds it to ``address``.

    If the ``key`` is not bound yet, the arbiter binds this socket, which becomes the handle.
    """

    number: int  # of the query
    key: str
    address: list[str | int]  # resolved; one string for a unix socket
    umask: int = 0


@record
class ServerHandle:
    """Arbiter, with the fd of the handle; or with an error, and without it."""

    number: int
    errno: int = 0
    reason: str = ""


@record
class ScriptListening:
    """Worker: the script listens on a handle."""

    key: str
    dispatch: str = "shared"  # the value of --dispatch


@record
class ScriptClosed:
    """Worker: the script has closed its copy of a handle."""

    key: str


@record
class QuerySources:
    """Child of a script's worker: what does the worker's accept epoll of ``key`` accept from?"""

    number: int
    key: str


@record
class Sources:
    """Worker to a child of its script, with the fds of the sources."""

    number: int
    probe: int  # the fd of the probe in the worker
    fds: list[int]  # of the sources in the worker, in the order of the fds that come with it


@record
class FileQuery:
    """Worker: the script removes a file. Is it the socket file of a handle?"""

    number: int
    path: str  # absolute


@record
class FileAnswer:
    """Arbiter: the answer to FileQuery."""

    number: int
    held: bool


@record
class Online:
    """Worker of a cluster program: it runs, and starts the script."""


@record
class UserMessage:
    """Either side: a JSON value from one program to the other."""

    value: Any


@record
class WorkerQuitting:
    """Worker of a cluster program: it exits on its own."""

    now: bool  # False: it answers its clients first, and waits for StartDrain


@record
class ReopenLogs:
    """Arbiter: the log files were rotated; reopen them."""


@record
class ReportStacks:
    """Arbiter: an operator wants to see the stacks of this worker."""

    number: int  # of the query


@record
class StacksReport:
    """Worker: its stacks, as `pyfork.child.stack_report` makes them."""

    number: int
    report: dict[str, Any]


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
    | QuerySources
    | Sources
    | FileQuery
    | FileAnswer
    | Online
    | UserMessage
    | WorkerQuitting
    | ReopenLogs
    | ReportStacks
    | StacksReport
)

_TYPES: dict[str, type[Message]] = {kind.__name__: kind for kind in get_args(Message)}


def encode(message: Message) -> bytes:
    """The wire form of a message."""
    return json.dumps([type(message).__name__, asdict(message)]).encode()


def decode(data: bytes) -> Message:
    """The message that `encode` made ``data`` of.

    Raises:
        KeyError, TypeError, ValueError: it is none. Both ends are of one release, so this is a
            defect.
    """
    name, fields = json.loads(data)
    if "listeners" in fields:
        fields["listeners"] = [FdName(*listener) for listener in fields["listeners"]]
    return _TYPES[name](**fields)
