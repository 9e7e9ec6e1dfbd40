"""The arbiter's record of a worker process, from fork to waitpid."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyfork.ipc.channel import Channel, ChannelClosed, Received
from pyfork.ipc.fd_queue import FdQueue
from pyfork.ipc.messages import Failed, HandoffTake, Message
from pyfork.ipc.scoreboard import Row
from pyfork.ipc.stack_file import StackFile
from pyfork.record import entity, field
from pyfork.supervisor.state import SavedWorker, WorkerRecord

if TYPE_CHECKING:
    from pyfork.hooks.objects import HookWorker

BIND_KEY = ""  # stands for the listeners of --bind, beside the keys of handles


@entity(kw_only=True)
class WorkerProcess:
    """One worker process, from fork to waitpid."""

    serial: int
    slot: int
    generation: int
    pid: int  # zero until a fork server has forked it
    channel: Channel  # the arbiter's end
    row: Row
    index: int  # of the row
    born: float
    # Where it accepts, if not on the listeners themselves; by `BIND_KEY` or the key of a handle.
    fd_queues: dict[str, FdQueue] = field(default_factory=dict)  # the arbiter accepts for it
    listens_to: set[str] = field(default_factory=set)  # on sockets that the arbiter assigns
    fork_server: int = 0  # process id of the one that was asked to fork it
    hold_accept: bool = False  # once ready, it waits for StartAccepting
    ready_at: float | None = None
    interface: str = ""  # of its application, once it is ready
    links: str = ""  # pages of its framework, a line each, "docs /docs"; in development
    debug: bool = False  # its application shows errors to clients
    retiring: bool = False
    boot_error: Failed | None = None  # that it has sent
    recycle_reason: str = ""  # why it is to be replaced
    kill_reason: str = ""  # of the deadly signal that was sent to it
    hook_worker: "HookWorker | None" = None  # the worker as hooks see it
    stacks: StackFile | None = None  # None: a program before this one forked it, without a file

    @property
    def is_serving(self) -> bool:
        """Whether it serves, and is not told to stop."""
        return self.ready_at is not None and self.is_staying

    @property
    def is_staying(self) -> bool:
        """Whether it serves or boots, and is not told to stop."""
        return not (self.retiring or self.kill_reason or self.boot_error)

    @property
    def load(self) -> tuple[int, int]:
        """How busy it is: requests first, since a busy worker answers late; then connections."""
        return self.row.in_flight, self.row.connections

    def request(self, ticket: int) -> Message:
        """The message that offers it a connection."""
        return HandoffTake(ticket)

    def signal(self, number: signal.Signals, reason: str = "") -> None:
        """Send a signal; a deadly one has a ``reason``. The pid is not reused before waitpid."""
        self.kill_reason = self.kill_reason or reason
        if not self.pid:  # a fork server has yet to fork it; `started` sends the signal
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def started(self, pid: int) -> None:
        """A fork server has forked it. If it is no longer needed, kill it."""
        self.pid = pid
        if self.kill_reason:
            self.signal(signal.SIGKILL)

    def channels(self) -> list[Channel | FdQueue | StackFile]:
        """The channel, the queues and the stack file of the worker."""
        stacks = () if self.stacks is None else (self.stacks,)
        return [self.channel, *self.fd_queues.values(), *stacks]

    def unread_messages(self) -> Iterator[Received]:
        """The messages that a dead worker sent before it died."""
        with contextlib.suppress(ChannelClosed):
            while received := self.channel.receive():
                yield from received

    # Through an exec.

    def save(self, record: WorkerRecord) -> SavedWorker:
        """The worker for the saved state; ``record`` is the supervisor's."""
        return SavedWorker(
            serial=self.serial,
            slot=self.slot,
            generation=self.generation,
            pid=self.pid,
            channel=self.channel.fileno(),
            row=self.index,
            fd_queues={key: queue.fds() for key, queue in self.fd_queues.items()},
            listens_to=tuple(self.listens_to),
            born=self.born,
            ready_at=self.ready_at or self.born,
            retire_by=record.deadline if self.retiring else None,
            recycle=record.recycle,
            stacks=-1 if self.stacks is None else self.stacks.fileno(),
        )

    @classmethod
    def restore(cls, saved: SavedWorker, row: Row) -> "WorkerProcess":
        """The same worker, in the next program."""
        queues = {
            key: FdQueue(*(socket.socket(fileno=fd) for fd in ends))
            for key, ends in saved.fd_queues.items()
        }
        return cls(
            serial=saved.serial,
            slot=saved.slot,
            generation=saved.generation,
            pid=saved.pid,
            channel=Channel(socket.socket(fileno=saved.channel)),
            row=row,
            index=saved.row,
            fd_queues=queues,
            listens_to=set(saved.listens_to),
            born=saved.born,
            ready_at=saved.ready_at,
            retiring=saved.retire_by is not None,
            stacks=StackFile(saved.stacks) if saved.stacks >= 0 else None,
        )
