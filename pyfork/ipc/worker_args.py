"""What a worker is born with: the one object that the arbiter hands through the fork."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.ipc.channel import Channel
from pyfork.ipc.connection_queue import ConnectionQueue
from pyfork.ipc.fd_queue import FdQueueReader
from pyfork.ipc.scoreboard import Row, Scoreboard
from pyfork.record import record

if TYPE_CHECKING:
    from pyfork.hooks.objects import HookWorker
    from pyfork.net.tls.context import TlsContexts


@record(kw_only=True)
class WorkerArgs:
    """Everything a worker gets from its arbiter."""

    config: Config
    slot: int
    generation: int
    # Where to accept. Bound and listening, in the order of config.bind; or the one place where
    # the arbiter puts what it has accepted.
    listeners: tuple[socket.socket | FdQueueReader, ...]
    channel: Channel  # the worker's end; EOF on it means that the arbiter is gone
    line: Row  # its line on the scoreboard; nobody else writes there
    scoreboard: Scoreboard  # to read
    directory: Directory  # that its generation works in
    addresses: tuple[object, ...] = ()  # on which its generation listens, as by getsockname
    script_addresses: tuple[
        str, ...
    ] = ()  # addresses on which scripts of this server listen already
    hold_accept: bool = False  # it accepts only when told to `Serve`: others do until then
    hook_worker: "HookWorker | None" = None  # what hooks see of it, if there are any
    queue: ConnectionQueue | None = None  # of the whole server
    tls: "TlsContexts | None" = None  # what it speaks TLS with, if it does


WorkerMain = Callable[[WorkerArgs], int]
"""What runs in the child: returns the exit status."""
