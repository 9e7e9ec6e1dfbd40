"""A server of an event loop that accepts in Python; the loop's own server accepts in C."""

import asyncio
import errno
from collections.abc import Callable
from typing import Any

_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_ACCEPT_BACKOFF = 1.0  # seconds without accepting when a limit is reached


class PythonServer(asyncio.AbstractServer):
    """A server on one socket.

    Args:
        options: those of the loop's `connect_accepted_socket`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Callable[[], asyncio.BaseProtocol],
        sock: Any,
        options: dict[str, Any],
    ) -> None:
        self._loop = loop
        self._factory: Any = factory
        self._sock = sock
        self._options = options
        self._opening: set[asyncio.Task[Any]] = set()
        self._serving = self._closed = False

    @property
    def sockets(self) -> list[Any]:
        """The listening socket; none after close()."""
        return [] if self._closed else [self._sock]

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of this server."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether it accepts."""
        return self._serving

    def start(self) -> None:
        """Begin to accept on the socket, which listens already."""
        if not self._closed:
            self._serving = True
            self._loop.add_reader(self._sock.fileno(), self._readable)

    async def start_serving(self) -> None:
        """Begin to accept."""
        self.start()

    async def serve_forever(self) -> None:
        """Accept until cancelled."""
        self.start()
        try:
            await self._loop.create_future()
        finally:
            self.close()

    def close(self) -> None:
        """Stop accepting."""
        if not self._closed:
            self._pause()
            self._closed = True
            self._sock.close()

    async def wait_closed(self) -> None:
        """Return at once."""

    def _pause(self) -> None:
        if self._serving:
            self._serving = False
            self._loop.remove_reader(self._sock.fileno())

    def _readable(self) -> None:
        """Accept one connection; further ones make the socket readable again."""
        try:
            client, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._pause()
            self._loop.call_later(_ACCEPT_BACKOFF, self.start)
            return
        client.setblocking(False)
        connecting = self._loop.connect_accepted_socket(self._factory, client, **self._options)
        task = self._loop.create_task(connecting)
        self._opening.add(task)
        task.add_done_callback(self._connection_opened)

    def _connection_opened(self, task: "asyncio.Task[Any]") -> None:
        self._opening.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, OSError):  # a failed handshake is an OSError
            self._loop.call_exception_handler(
                {"message": "a connection could not be served", "exception": error}
            )
