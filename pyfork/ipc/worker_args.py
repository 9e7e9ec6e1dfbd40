"""The arguments of a worker: the one object that the arbiter passes through the fork."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.ipc.channel import Channel
from pyfork.ipc.connection_queue import ConnectionQueue
from pyfork.ipc.fd_queue import FdQueueReader
from pyfork.ipc.scoreboard import Row, Scoreboard
from pyfork.ipc.stack_file import StackFile
from pyfork.record import record

if TYPE_CHECKING:
    from pyfork.hooks.objects import HookWorker
    from pyfork.net.tls.context import TlsContexts


@record(kw_only=True)
class WorkerArgs:
    """The arguments of a worker, from its arbiter."""

    config: Config
    slot: int
    generation: int
    # Listening sockets in the order of config.bind, or the queue of connections that the arbiter
    # has accepted.
    listeners: tuple[socket.socket | FdQueueReader, ...]
    channel: Channel  # the worker's end; EOF on it means that the arbiter is gone
    row: Row  # its row on the scoreboard, which no other process writes
    scoreboard: Scoreboard  # only read
    directory: Directory  # the working directory of its generation
    addresses: tuple[object, ...] = ()  # of its generation's listeners, as from getsockname()
    script_addresses: tuple[str, ...] = ()  # on which scripts of this server listen already
    hold_accept: bool = False  # accept only after `StartAccepting`
    hook_worker: "HookWorker | None" = None  # the worker as hooks see it; None: there are no hooks
    queue: ConnectionQueue | None = None  # of the whole server
    tls: "TlsContexts | None" = None  # None: plain text
    stacks: StackFile | None = None  # None: there is no arbiter that would read it


WorkerMain = Callable[[WorkerArgs], int]
"""The main function of a worker: returns the exit status."""
