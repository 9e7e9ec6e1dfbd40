"""The desk: what lies under a script's descriptor where its listener was.

An epoll of our own, readable when something is to be accepted, whatever loop, thread or selector
waits for it. Behind it may be the listener itself, a queue of this slot's own, or the tray on which
the arbiter lays connections; these come and go while the script goes on with the same number.
What it cannot do is accept(2): that is asked here, by the hook in Python's sockets.

A probe makes it readable too, now and then: so a script that comes back to accept is seen to.

Rules: no message, no thread; holds nobody up for longer than a moment.
"""

import errno
import os
import select
from collections.abc import Callable, Hashable
from contextlib import suppress
from socket import SO_ACCEPTCONN, SOL_SOCKET, socket  # as they are before gevent's patch
from time import monotonic, sleep
from typing import Any, Protocol

from pyfork.dispatch.least import DEFER_SECONDS
from pyfork.ipc.fd_queue import FdQueueReader, QueueClosed

EPOLL: Any = getattr(select, "epoll", None)  # Linux has it, and gevent's patch takes it away

_READABLE = 1  # EPOLLIN
_AT_ONCE = 8  # places that are looked at in one turn

Accepted = tuple[int, Any]
"""A descriptor and the client's address, as `_socket.socket._accept` returns them."""


class AcceptSource(Protocol):
    """Where connections come from."""

    def fileno(self) -> int: ...

    def take(self) -> Accepted:
        """Accept one. Raises OSError; BlockingIOError where there is none."""

    def close(self) -> None: ...


class ListenerSource:
    """A listening socket."""

    def __init__(self, listener: socket) -> None:
        listener.setblocking(False)
        self._listener = listener
        self.fileno = listener.fileno
        self.close = listener.close

    def take(self) -> Accepted:
        """From the kernel's queue."""
        accepted: Accepted = self._listener._accept()  # type: ignore[attr-defined]
        return accepted


class FdQueueSource:
    """A tray."""

    def __init__(self, end: socket) -> None:
        self._source = FdQueueReader(end)
        self.fileno = self._source.fileno
        self.close = self._source.close

    def take(self) -> Accepted:
        """From the arbiter, which is told so. A client that has gone already is passed over."""
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


def place(made: socket) -> AcceptSource:
    """What the arbiter has sent is either."""
    listens = made.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)
    return ListenerSource(made) if listens else FdQueueSource(made)


class AcceptEpoll:
    """All that a script accepts on one of its sockets.

    Args:
        handle: the listener that was there; for what is asked about it. The desk closes it.
        entered: called with the descriptor of each connection, before the script has it.
        gives_way: asked when there is a connection: whether it is left to other workers.
    """

    def __init__(
        self,
        handle: socket,
        *,
        entered: Callable[[int], None],
        gives_way: Callable[[], bool],
    ) -> None:
        self.handle = handle
        self.name = handle.getsockname()
        self.lent = False  # another process accepts too: what is for this one alone may not come
        self.on_accept = 0.0  # when somebody last asked for a connection; 0: nobody has
        self._finishing = False
        self._entered = entered
        self._gives_way = gives_way
        self._places: dict[Hashable, AcceptSource] = {}
        self._by_fd: dict[int, AcceptSource] = {}
        self._epoll = EPOLL()
        self._probe = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._probe, _READABLE)
        self.fileno = self._epoll.fileno

    # What is behind it.

    def add_listeners(self, name: Hashable, found: AcceptSource) -> None:
        """Accept from there too; nothing happens if that is so."""
        if name in self._places:
            found.close()
            return
        self._places[name] = self._by_fd[found.fileno()] = found
        self._epoll.register(found.fileno(), _READABLE)

    def remove_listeners(self, name: Hashable) -> None:
        """Leave it to others."""
        found = self._places.pop(name, None)
        if found is not None:
            del self._by_fd[found.fileno()]
            with suppress(OSError):
                self._epoll.unregister(found.fileno())
            found.close()

    def finish(self, *, others_serve: bool) -> None:
        """Have nothing there but what is for this worker alone to accept: what lies on a tray, if
        the arbiter does not take it back, and unless ``others_serve`` what is queued."""
        self._finishing = True
        for name, found in list(self._places.items()):
            if others_serve and isinstance(found, ListenerSource):
                self.remove_listeners(name)
        with suppress(BlockingIOError):
            os.eventfd_read(self._probe)

    def lend(self, name: Hashable) -> None:
        """Have nothing behind it but the listener, where another process accepts too."""
        self.lent = True
        for each in list(self._places):
            self.remove_listeners(each)
        self.add_listeners(name, ListenerSource(self.handle.dup()))

    def clear(self) -> None:
        """Nothing is behind it any more, and nothing comes."""
        for name in list(self._places):
            self.remove_listeners(name)
        self.handle.close()

    def close(self) -> None:
        """The script has closed its descriptor."""
        self.clear()
        self._epoll.close()
        os.close(self._probe)

    def inodes(self) -> set[int]:
        """Of the sockets behind it."""
        fds = [self.handle.fileno(), *self._by_fd]
        return {os.fstat(fd).st_ino for fd in fds if fd >= 0}

    def probe(self) -> None:
        """Have whoever waits here come round."""
        if not self._finishing:
            with suppress(BlockingIOError):
                os.eventfd_write(self._probe, 1)

    # What the script does.

    def accept(self, timeout: float | None) -> Accepted:
        """Accept one connection; without a ``timeout`` (seconds), wait for it without end.

        Raises:
            OSError: as accept() would.
        """
        until = None if timeout is None else monotonic() + timeout
        while True:
            ready = self._wait(until)
            self.on_accept = monotonic()
            for fd in ready:
                if fd == self._probe:
                    with suppress(BlockingIOError):
                        os.eventfd_read(fd)
                elif (accepted := self._take(fd)) is not None:
                    return accepted
            if timeout == 0:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            if until is not None and monotonic() >= until:
                raise TimeoutError("timed out")

    def _wait(self, until: float | None) -> list[int]:
        left = None if until is None else max(0.0, until - monotonic())
        try:
            return [fd for fd, _ in self._epoll.poll(left, _AT_ONCE)]
        except ValueError:  # somebody has closed it
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None

    def _take(self, fd: int) -> Accepted | None:
        """Accept from there, unless others are to. A loop that was told of the connection would
        be told again at once: it is held for the moment that they are given."""
        found = self._by_fd.get(fd)
        if found is None:  # it went this very moment
            return None
        if self._gives_way():
            sleep(DEFER_SECONDS)
            return None
        try:
            accepted = found.take()
        except QueueClosed:  # it would look readable for ever
            self.remove_listeners(
                next(name for name, each in self._places.items() if each is found)
            )
            return None
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None  # another worker was quicker, or the client has gone
        self._entered(accepted[0])
        return accepted
