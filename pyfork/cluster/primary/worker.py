"""A worker, as the program that forked it sees it.

`Worker` is the public object, as in Node; `WorkerEntry` is the cluster's own record.
"""

import contextlib
import signal as signals
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyfork.cluster.events import Emitter
from pyfork.cluster.primary.port import Port
from pyfork.ipc.channel import Channel
from pyfork.ipc.fd_queue import FdQueue
from pyfork.ipc.messages import Message, UserMessage
from pyfork.ipc.scoreboard import Row
from pyfork.record import entity, field, record

if TYPE_CHECKING:
    from subprocess import Popen


@record
class Address:
    """The address on which a worker listens."""

    address: str  # an IP address, or the path of a socket file
    port: int | None
    type: int | str  # as in Node: 4 or 6, -1 for a socket file, "udp4" or "udp6"


@entity(kw_only=True)
class WorkerEntry:
    """The cluster's record of a worker."""

    serial: int  # its id
    channel: Channel
    row: Row
    index: int  # of its scoreboard row
    port: Port
    fd_queues: dict[str, FdQueue] = field(default_factory=dict)
    listens: set[str] = field(default_factory=set)  # handle keys
    draining: bool = False

    @property
    def slot(self) -> int:
        """The order in which workers take turns."""
        return self.serial


class Worker(Emitter):
    """One worker process.

    Args:
        send: sends a message to a worker.
        disconnect: tells a worker to disconnect.
    """

    events = ("online", "listening", "message", "disconnect", "exit")

    def __init__(
        self,
        entry: WorkerEntry,
        process: "Popen[bytes]",
        *,
        send: Callable[["Worker", Message], None],
        disconnect: Callable[["Worker"], None],
    ) -> None:
        super().__init__()
        self.id = entry.serial
        self.process = process
        self.exited_after_disconnect: bool | None = None  # None until it has disconnected
        self.entry = entry
        self._send_to = send
        self._disconnect = disconnect

    def __repr__(self) -> str:
        return f"<worker {self.id} (pid {self.pid})>"

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def send(self, message: Any) -> bool:
        """Send a JSON value. Returns whether the worker is connected.

        Raises:
            TypeError, ValueError: JSON cannot express it, or it is longer than 1 MiB.
        """
        if not self.is_connected():
            return False
        self._send_to(self, UserMessage(message))
        return True

    def disconnect(self) -> "Worker":
        """Tell the worker to stop accepting, complete its connections, and end."""
        if self.is_connected():
            self._disconnect(self)
        return self

    def kill(self, signal: int | str = signals.SIGTERM) -> None:
        """Send a signal, by number or name; no error if the process has ended."""
        number = signals.Signals[signal] if isinstance(signal, str) else signal
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def is_connected(self) -> bool:
        """Whether the channel is open."""
        return self.entry.channel.fileno() >= 0

    def is_dead(self) -> bool:
        """Whether the process has been reaped."""
        return self.process.returncode is not None
