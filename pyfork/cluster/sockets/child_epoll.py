"""The accept epolls of a worker, as a child of its script sees them.

The epoll is the worker's. A child has the same epoll, and shares its events, but sources that the
worker was given after the fork are not open in it. So before it takes a connection, it compares
the version of the sources, and asks the worker for them (`relay`).

Rules: registers and unregisters nothing; that would be done to the worker too.
"""

import os
from _thread import allocate_lock
from collections.abc import Callable, Sequence
from contextlib import suppress
from socket import socket  # before gevent patches it
from time import sleep
from typing import Any

from pyfork.cluster.sockets.accept_epoll import (
    EPOLL,
    Accepted,
    AcceptSource,
    EpollAcceptor,
    source_for,
)
from pyfork.cluster.sockets.epoll_state import EpollState
from pyfork.dispatch.least import DEFER_SECONDS
from pyfork.ipc.fd_queue import QueueClosed
from pyfork.ipc.messages import Message, QuerySources, Sources

Ask = Callable[[Callable[[int], Message]], tuple[Message, Sequence[int]]]
"""`RelayedClient.call`."""


class ChildEpoll(EpollAcceptor):
    """One epoll of the worker. The child owns its copies of all descriptors.

    Args:
        key: of the handle.
        ask: asks the worker.
    """

    def __init__(
        self, key: str, ask: Ask, handle: socket, epoll: Any, probe: int, state: EpollState
    ) -> None:
        super().__init__(handle, epoll, probe, state)
        self._key = key
        self._ask = ask
        self._version = -1  # of the sources below
        self._sources: dict[int, AcceptSource] = {}  # by the descriptor in the worker
        self._worker_probe = probe
        self._is_finished = False
        self.use_in_child()

    def use_in_child(self) -> None:
        """In another child: a thread of the parent may have held the lock."""
        self._lock = allocate_lock()

    def clear(self) -> None:
        """Accept no more. The worker's other processes do."""
        self._is_finished = True

    def close(self) -> None:
        """Close the copies: the child has closed its descriptor."""
        self.clear()
        for source in self._sources.values():
            source.close()
        self._sources = {}
        self.handle.close()
        self.epoll.close()
        os.close(self.probe_fd)
        self.state.close()

    def accept(self, timeout: float | None) -> Accepted:
        self.state.note_child()
        return super().accept(timeout)

    def _take(self, fd: int) -> Accepted | None:
        if self._is_finished:
            sleep(DEFER_SECONDS)  # the epoll may stay readable
            return None
        if self._version != self.state.version:
            self._update()
        if fd == self._worker_probe:
            self._clear_probe()
            return None
        source = self._sources.get(fd)
        if source is None:  # it was removed just now
            return None
        try:
            return source.take()
        except QueueClosed:  # the arbiter is gone; the worker is about to remove it
            sleep(DEFER_SECONDS)
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            pass  # another process was faster, or the client disconnected
        except OSError:
            if self._sources.get(fd) is source:
                raise
        return None

    def _update(self) -> None:
        """Get the sources that the worker has now."""
        with self._lock:
            version = self.state.version
            if version == self._version:
                return
            with suppress(OSError):  # ArbiterGone: the worker ends, and this process with it
                answer, fds = self._ask(lambda number: QuerySources(number, self._key))
                assert isinstance(answer, Sources)
                self._replace(dict(zip(answer.fds, map(_open, fds), strict=True)))
                self._worker_probe = answer.probe
                self._version = version

    def _replace(self, found: dict[int, socket]) -> None:
        """Use the sources ``found``. One that is here already stays: a thread may be using it."""
        before, now = self._sources, dict[int, AcceptSource]()
        for number, made in found.items():
            old = before.get(number)
            if old is not None and os.path.sameopenfile(old.fileno(), made.fileno()):
                now[number] = old
                made.close()
            else:
                now[number] = source_for(made)
        self._sources = now
        for number, old in before.items():
            if now.get(number) is not old:
                old.close()


class ChildEpolls:
    """All epolls of a child.

    Args:
        ask: asks the worker.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._epolls: dict[str, ChildEpoll] = {}  # by handle key

    def add(
        self, key: str, handle: socket, epoll: Any, probe: int, state: EpollState
    ) -> ChildEpoll:
        """Add an epoll of the worker, by copies that the child owns from now on."""
        made = ChildEpoll(key, self._ask, handle, epoll, probe, state)
        self._epolls[key] = made
        return made

    def add_sent(self, key: str, handle: socket, epoll: int, probe: int, state: int) -> ChildEpoll:
        """Add an epoll by descriptors that were sent to this process."""
        return self.add(key, handle, EPOLL.fromfd(epoll), probe, EpollState(state))

    def use_in_child(self) -> None:
        """In a child of this child."""
        for epoll in self._epolls.values():
            epoll.use_in_child()

    def epoll(self, key: str) -> ChildEpoll | None:
        """Return the epoll of the handle ``key``."""
        return self._epolls.get(key)

    def close(self, key: str) -> None:
        """Close the epoll of ``key``: the child has closed its descriptor."""
        if epoll := self._epolls.pop(key, None):
            epoll.close()

    def inodes(self) -> set[int]:
        """Return nothing: only a worker looks for sockets that it does not know."""
        return set()


def _open(fd: int) -> socket:
    return socket(fileno=fd)
