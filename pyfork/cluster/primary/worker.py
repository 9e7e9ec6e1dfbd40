"""A worker, as the program that forked it sees it.

`Worker` is what the program has in hand, after Node's; `WorkerEntry` is where the worker sits among
the others, which is nobody's business but the cluster's own.
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
    """Where a worker listens."""

    address: str  # an IP address, or the path of a socket file
    port: int | None
    type: int | str  # as in Node: 4 or 6, -1 for a socket file, "udp4" or "udp6"


@entity(kw_only=True)
class WorkerEntry:
    """What the cluster knows of a worker."""

    worker: int  # its id
    channel: Channel
    line: Row
    index: int  # of the line
    port: Port
    fd_queues: dict[str, FdQueue] = field(default_factory=dict)
    listens: set[str] = field(default_factory=set)  # keys of handles
    leaving: bool = False

    @property
    def slot(self) -> int:
        """By which they take turns."""
        return self.worker


class Worker(Emitter):
    """One worker process.

    Args:
        say: sends a message to a worker.
        part: has it leave.
    """

    events = ("online", "listening", "message", "disconnect", "exit")

    def __init__(
        self,
        seat: WorkerEntry,
        process: "Popen[bytes]",
        *,
        say: Callable[["Worker", Message], None],
        part: Callable[["Worker"], None],
    ) -> None:
        super().__init__()
        self.id = seat.worker
        self.process = process
        self.exited_after_disconnect: bool | None = None  # None until it has disconnected
        self.seat = seat
        self._say = say
        self._part = part

    def __repr__(self) -> str:
        return f"<worker {self.id} (pid {self.pid})>"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def send(self, message: Any) -> bool:
        """Send what JSON can say; whether somebody is there to get it.

        Raises TypeError or ValueError: JSON cannot say it, or it is longer than a MiB.
        """
        if not self.is_connected():
            return False
        self._say(self, UserMessage(message))
        return True

    def disconnect(self) -> "Worker":
        """Have it accept no more, answer what it has accepted, and end."""
        if self.is_connected():
            self._part(self)
        return self

    def kill(self, signal: int | str = signals.SIGTERM) -> None:
        """Send it a signal; nothing happens if it is dead. ``signal`` may be a name."""
        number = signals.Signals[signal] if isinstance(signal, str) else signal
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def is_connected(self) -> bool:
        """Whether the two can speak."""
        return self.seat.channel.fileno() >= 0

    def is_dead(self) -> bool:
        """Whether its end was seen."""
        return self.process.returncode is not None
