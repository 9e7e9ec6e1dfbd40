"""What the workers of a program listen on, and who gets a connection.

The port of one set of workers: it is closed when the last of them is told to leave, so that a
client is refused, and not left waiting. Workers that are forked later have a new one. If the last
one dies, untold, what is queued waits for the next for some seconds.
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
    """Handles, and the turns that are taken at them.

    Args:
        takers: workers that serve.
    """

    def __init__(self, wires: Poller, takers: Callable[[], Iterable[Candidate]]) -> None:
        self._wires = wires
        self._handles = Handles()
        self._rounds = RoundRobinByHandle(wires, self._handles, takers)

    @property
    def deadline(self) -> float | None:
        """When to `act` if nothing happens before."""
        times = (self._handles.deadline, self._rounds.deadline)
        return min((each for each in times if each is not None), default=None)

    def tick(self, now: float) -> None:
        """Once a turn."""
        self._handles.tick(now)
        self._rounds.tick(now)

    def on_message(self, worker: Candidate, message: Message, fd: int | None) -> None:
        """What a worker's sockets have to say."""
        match message:
            case QueryServer() if fd is not None:
                serial = worker.worker
                answer, handle = self._handles.query(message, fd, worker=serial, generation=serial)
                self._wires.send(worker.channel, answer, handle)
            case FileQuery(number, path):
                self._wires.send(worker.channel, FileAnswer(number, self._handles.holds(path)))
            case ScriptListening(key, dispatch):
                self._handles.listens(key)
                if dispatch == "round-robin":
                    self._rounds.add_acceptor(worker, key)
            case ScriptClosed(key):
                self._rounds.remove_acceptor(worker, key)
                self._handles.closed(key, worker.worker)

    def handle(self, key: str) -> socket.socket | None:
        """The socket that workers mean by ``key``."""
        return self._handles.get(key)

    def remove_worker(self, worker: Candidate) -> None:
        """A worker is gone: what was put before it is for another."""
        self._rounds.remove_worker(worker)
        self._handles.gone(worker.worker)
        self._handles.release(worker.worker)

    def finish(self) -> None:
        """The last workers are about to be told to leave: they empty the queues."""
        self._rounds.finish()
        self._handles.close()

    def close(self) -> None:
        """Nobody is left who could serve."""
        self._rounds.finish()
        self._rounds.close_in_child()
        self._handles.close()

    def close_in_child(self) -> None:
        """In a child of the program's: it is another's."""
        self._rounds.close_in_child()
        self._handles.release_files()
        self._handles.close()
