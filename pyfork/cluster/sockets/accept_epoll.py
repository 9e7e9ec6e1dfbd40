"""The epoll that replaces a listener under the script's descriptor.

The epoll is readable when a connection can be accepted, for any loop, thread or selector. Its
sources are the listener itself, a reuseport socket of this slot, or the queue of descriptors that
the arbiter fills. Sources come and go; the script's descriptor stays the same. An epoll has no
accept(2), so the patched `socket.accept` calls `AcceptEpoll.accept`.

A probe makes the epoll readable from time to time, so that a script that still accepts is seen.

One epoll serves all processes of a worker: a child that the script forks has it under the same
descriptor, and accepts from the same sources (`child_epoll`). So the worker keeps its policy, and
when its sources go, all of its processes stop accepting at once.

Rules: sends no message, starts no thread, blocks at most `DEFER_SECONDS`.
"""

import errno
import os
import select
from collections.abc import Callable, Hashable
from contextlib import suppress
from socket import SO_ACCEPTCONN, SOL_SOCKET, socket  # before gevent patches it
from time import monotonic, sleep
from typing import Any, Protocol

from pyfork.cluster.sockets.epoll_state import EpollState
from pyfork.dispatch.least import DEFER_SECONDS
from pyfork.ipc.fd_queue import FdQueueReader, QueueClosed

EPOLL: Any = getattr(select, "epoll", None)  # Linux only; gevent removes the name

_READABLE = 1  # EPOLLIN
_MAX_EVENTS = 8  # sources that one wait returns

Accepted = tuple[int, Any]
"""A descriptor and the client's address, as `_socket.socket._accept` returns them."""


class AcceptSource(Protocol):
    """A source of connections."""

    def fileno(self) -> int: ...

    def take(self) -> Accepted:
        """Accept one connection. Raises OSError; BlockingIOError if there is none."""

    def close(self) -> None: ...


class ListenerSource:
    """A listening socket."""

    def __init__(self, listener: socket) -> None:
        listener.setblocking(False)
        self._listener = listener
        self.fileno = listener.fileno
        self.close = listener.close

    def take(self) -> Accepted:
        """Accept from the kernel's queue."""
        accepted: Accepted = self._listener._accept()  # type: ignore[attr-defined]
        return accepted


class FdQueueSource:
    """A queue of descriptors that the arbiter fills."""

    def __init__(self, end: socket) -> None:
        self._source = FdQueueReader(end)
        self.fileno = self._source.fileno
        self.close = self._source.close

    def take(self) -> Accepted:
        """Take a connection and acknowledge it. Skips clients that have already disconnected."""
        while True:
            client = socket(fileno=self._source.take())
            try:
                return client.fileno(), client.getpeername()
            except OSError as error:
                client.close()
                if error.errno != errno.ENOTCONN:
                    raise
            finally:
                client.detach()


def source_for(made: socket) -> AcceptSource:
    """Make the source for a socket that the arbiter sent."""
    listens = made.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)
    return ListenerSource(made) if listens else FdQueueSource(made)


class EpollAcceptor:
    """Accepts from the sources of an epoll. Raises OSError as accept() does.

    Args:
        handle: the replaced listener; it answers getsockname() and options.
        epoll: has a descriptor, and ``poll``.
        probe: the eventfd of the probe.
    """

    def __init__(self, handle: socket, epoll: Any, probe: int, state: EpollState) -> None:
        self.handle = handle
        self.name = handle.getsockname()
        self.state = state
        self.probe_fd = probe
        self.epoll = epoll
        self.fileno = epoll.fileno

    def accept(self, timeout: float | None) -> Accepted:
        """Accept one connection. ``timeout`` is in seconds, None for no limit.

        Raises:
            OSError: as accept() does.
        """
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            ready = self._wait(deadline)
            self.state.last_accept = monotonic()
            for fd in ready:
                if (accepted := self._take(fd)) is not None:
                    return accepted
            if timeout == 0:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            if deadline is not None and monotonic() >= deadline:
                raise TimeoutError("timed out")

    def _wait(self, deadline: float | None) -> list[int]:
        """Return the descriptors that are ready, as the worker has registered them."""
        left = None if deadline is None else max(0.0, deadline - monotonic())
        try:
            return [fd for fd, _ in self.epoll.poll(left, _MAX_EVENTS)]
        except ValueError:  # another thread closed it
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None

    def _take(self, fd: int) -> Accepted | None:
        """Accept from the source ``fd``, if there is a connection for this process."""
        raise NotImplementedError

    def clear(self) -> None:
        """Accept no more."""
        raise NotImplementedError

    def _clear_probe(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self.probe_fd)


class AcceptEpoll(EpollAcceptor):
    """Everything that a worker accepts on one of its script's sockets.

    Args:
        handle: the replaced listener. The epoll closes it.
        on_accept: called with the descriptor of each connection, before the script gets it.
        should_defer: asked before each accept; True leaves the connection to other workers.
    """

    def __init__(
        self,
        handle: socket,
        *,
        on_accept: Callable[[int], None],
        should_defer: Callable[[], bool],
    ) -> None:
        probe = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        super().__init__(handle, EPOLL(), probe, EpollState.make())
        self.is_inherited = False  # a child of the script may have it
        self.kept_since = 0.0  # monotonic seconds; when the script closed it, and children did not
        self._is_finishing = False
        self._on_accept = on_accept
        self._should_defer = should_defer
        self._sources: dict[Hashable, AcceptSource] = {}
        self._by_fd: dict[int, AcceptSource] = {}
        self.epoll.register(probe, _READABLE)

    # Sources.

    def add_listeners(self, name: Hashable, source: AcceptSource) -> None:
        """Accept from ``source`` too; a second source of the same name is closed."""
        if name in self._sources:
            source.close()
            return
        self._sources[name] = self._by_fd[source.fileno()] = source
        self.state.change()  # before a child can see an event of a number that was another source
        self.epoll.register(source.fileno(), _READABLE)

    def remove_listeners(self, name: Hashable) -> None:
        """Stop accepting from the source ``name``."""
        source = self._sources.pop(name, None)
        if source is not None:
            del self._by_fd[source.fileno()]
            with suppress(OSError):
                self.epoll.unregister(source.fileno())
            source.close()
            self.state.change()

    @property
    def is_wanted(self) -> bool:
        """Whether the script has it, or a child accepts from it."""
        return not self.kept_since or self.state.child_accepts

    def source_fds(self) -> list[int]:
        """Return the descriptors of all sources, as they are registered."""
        return list(self._by_fd)

    def close_sources_in_child(self) -> None:
        """In a forked child: close its copies, which are registered for the worker."""
        for source in self._by_fd.values():
            source.close()

    def finish(self, *, others_serve: bool) -> None:
        """Keep only the sources that no other worker can serve.

        Those are the arbiter's queue, until the arbiter takes its content back, and without
        ``others_serve`` also the listeners.
        """
        self._is_finishing = True
        for name, source in list(self._sources.items()):
            if others_serve and isinstance(source, ListenerSource):
                self.remove_listeners(name)
        self._clear_probe()

    def clear(self) -> None:
        """Close all sources; the epoll never becomes readable again."""
        for name in list(self._sources):
            self.remove_listeners(name)
        self.handle.close()

    def close(self) -> None:
        """Close everything: the script has closed its descriptor."""
        self.clear()
        self.epoll.close()
        os.close(self.probe_fd)
        self.state.close()

    def inodes(self) -> set[int]:
        """Return the inodes of the sockets behind the epoll."""
        fds = [self.handle.fileno(), *self._by_fd]
        return {os.fstat(fd).st_ino for fd in fds if fd >= 0}

    def probe(self) -> None:
        """Wake whatever waits for the epoll."""
        if not self._is_finishing:
            with suppress(BlockingIOError):
                os.eventfd_write(self.probe_fd, 1)

    def _take(self, fd: int) -> Accepted | None:
        """Accept from the source ``fd``, unless other workers should.

        An event loop would see the same connection again at once, so deferring sleeps here.
        """
        if fd == self.probe_fd:
            self._clear_probe()
            return None
        source = self._by_fd.get(fd)
        if source is None:  # it was removed just now
            return None
        if self._should_defer():
            sleep(DEFER_SECONDS)
            return None
        try:
            accepted = source.take()
        except QueueClosed:  # it would stay readable for ever
            self.remove_listeners(
                next(name for name, each in self._sources.items() if each is source)
            )
            return None
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None  # another worker was faster, or the client disconnected
        self._on_accept(accepted[0])
        return accepted
