"""The listening sockets of one set of workers, and how connections are dispatched.

The port is closed when the last worker is told to disconnect, so that clients are refused at once.
Workers that are forked later get a new port. If the last worker dies, queued connections wait some
seconds for the next one.
"""

import socket
from collections.abc import Callable, Iterable

from pyfork.dispatch.handles import Handles
from pyfork.dispatch.per_handle import RoundRobinByHandle
from pyfork.dispatch.round_robin import Candidate
from pyfork.ipc.messages import (
    FileAnswer,
    FileQuery,
    Message,
    QueryServer,
    ScriptClosed,
    ScriptListening,
)
from pyfork.ipc.poller import Poller


class Port:
    """The handles of a set of workers, with round-robin dispatch.

    Args:
        candidates: returns the workers that serve.
    """

    def __init__(self, poller: Poller, candidates: Callable[[], Iterable[Candidate]]) -> None:
        self._poller = poller
        self._handles = Handles()
        self._round_robin = RoundRobinByHandle(poller, self._handles, candidates)

    @property
    def deadline(self) -> float | None:
        """When to call `tick` next, in monotonic seconds; None: no limit."""
        times = (self._handles.deadline, self._round_robin.deadline)
        return min((each for each in times if each is not None), default=None)

    def tick(self, now: float) -> None:
        """Run what is due; called once per loop iteration."""
        self._handles.tick(now)
        self._round_robin.tick(now)

    def on_message(self, worker: Candidate, message: Message, fd: int | None) -> None:
        """Handle a message about the sockets of ``worker``."""
        match message:
            case QueryServer() if fd is not None:
                serial = worker.serial
                answer, handle = self._handles.query(message, fd, worker=serial, generation=serial)
                self._poller.send(worker.channel, answer, handle)
            case FileQuery(number, path):
                self._poller.send(worker.channel, FileAnswer(number, self._handles.holds(path)))
            case ScriptListening(key, dispatch):
                self._handles.listens(key)
                if dispatch == "round-robin":
                    self._round_robin.add_acceptor(worker, key)
            case ScriptClosed(key):
                self._round_robin.remove_acceptor(worker, key)
                self._handles.closed(key, worker.serial)

    def handle(self, key: str) -> socket.socket | None:
        """Return the socket of the handle ``key``."""
        return self._handles.get(key)

    def remove_worker(self, worker: Candidate) -> None:
        """Give undelivered connections of a dead worker to others."""
        self._round_robin.remove_worker(worker)
        self._handles.gone(worker.serial)
        self._handles.release(worker.serial)

    def finish(self) -> None:
        """Stop accepting: the last workers empty the kernel's queues."""
        self._round_robin.finish()
        self._handles.close()

    def close(self) -> None:
        """Close everything: no worker is left."""
        self._round_robin.finish()
        self._round_robin.close_in_child()
        self._handles.close()

    def close_in_child(self) -> None:
        """In a forked child: close this process's copies."""
        self._round_robin.close_in_child()
        self._handles.release_files()
        self._handles.close()
