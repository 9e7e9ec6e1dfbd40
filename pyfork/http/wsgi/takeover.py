"""Applications that take over the connection: ``environ["gunicorn.socket"]``,
``["werkzeug.socket"]``.

WebSocket libraries for threads (simple-websocket, flask-sock) talk to the client themselves. The
first use of the socket gives the connection to the application until the request ends: the loop
stops reading and writing, and no response is sent. Only workers with threads offer it, since a
connection occupies its thread.
"""

import errno
import logging
import os
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pyfork.http.connection.timeouts.deadlines import LINGER
from pyfork.http.response.head import Response
from pyfork.http.wsgi.gateway import WsgiExchange

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Seconds that a call on the socket may wait: poll(2) takes 24 days at most.
_LONG = 86400.0 * 20

# Calls that read state or set options do not take over.
_HARMLESS = frozenset(
    ("family", "getpeername", "getsockname", "getsockopt", "proto", "setsockopt", "type")
)

# Exceptions of a socket after its connection ended or its descriptor was closed, besides
# ConnectionError.
_ENDED = frozenset((errno.EBADF, errno.EHOSTUNREACH, errno.ENOTCONN, errno.ETIMEDOUT))

log = logging.getLogger("pyfork.error")


class OfferedSocket:
    """The client's socket, with the attributes of `socket.socket`."""

    def __init__(self, exchange: "SocketExchange") -> None:
        # The request's environ has this object: a cycle, which `end` breaks.
        self._exchange: SocketExchange | None = exchange
        self._socket: socket.socket | None = None  # a thread may use it after the request

    def __getattr__(self, name: str) -> Any:
        found = getattr(socket.socket, name)  # AttributeError for other names
        if name in _HARMLESS:
            return getattr(self._get(taken=False), name)
        return partial(self._call, name) if callable(found) else found

    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        return getattr(self._get(taken=True), name)(*args, **options)

    def send(self, data: "ReadableBuffer", flags: int = 0) -> int:
        """Send all of ``data``, as send(2) does on a blocking socket."""
        client = self._get(taken=True)
        if flags or client.gettimeout() != _LONG:  # the application has set its own
            return client.send(data, flags)
        client.sendall(data)
        return memoryview(data).nbytes

    def end(self) -> None:
        """The request is over."""
        self._exchange = None

    def _get(self, *, taken: bool) -> socket.socket:
        """Return the connection's socket, taken over or not. Raises OSError if the request is
        over."""
        exchange = self._exchange
        if exchange is not None:
            self._socket = exchange.take_socket() if taken else exchange.duplicate()
        if self._socket is None:
            raise OSError(errno.EBADF, "the request is over")
        return self._socket


class SocketExchange(WsgiExchange):
    """One call of an application that may take over the connection."""

    _offered: OfferedSocket | None = None
    _socket: socket.socket | None = None
    _taken_over = False

    def serve(self) -> None:
        offered = self._offered = OfferedSocket(self)
        self.environ["gunicorn.socket"] = self.environ["werkzeug.socket"] = offered
        super().serve()

    def log_failure(self) -> None:
        error = sys.exception()
        if not self._taken_over or error is None or not _ends_connection(error):
            super().log_failure()
        elif not isinstance(error, StopIteration):
            path = self.head.path.decode("latin-1")
            log.debug("connection of %s %s ended: %r", self.head.method, path, error)

    def duplicate(self) -> socket.socket:
        """Make a duplicate of the connection's socket."""
        if self._socket is None:
            self._socket = socket.socket(fileno=os.dup(self.connection.fileno()))
            # It shares flags with the loop's descriptor, so it is non-blocking; a timeout makes
            # calls wait.
            self._socket.settimeout(_LONG)
        return self._socket

    def take_socket(self) -> socket.socket:
        """Take the connection over. Raises OSError if the request is over."""
        if not self._taken_over:
            pool = self.gateway.pool
            assert pool is not None
            pool.run_in_loop(self._take_over)
        return self.duplicate()

    def _take_over(self) -> None:
        connection = self.connection
        if self._taken_over:  # by another thread
            return
        if self.detached or self.response is not None or connection.lost:
            raise OSError("the connection cannot be taken: it has a response, or has ended")
        self.duplicate()
        self._taken_over = True
        connection.pause_reading()
        connection.closing, connection.fast_path = True, False
        self.response = Response(101, b"", close=True, content=False, chunked=False, left=0)

    def served(self) -> None:
        if self._offered is not None:
            self._offered.end()
        ours = self._socket
        if not self._taken_over or self.detached:
            super().served()
            if ours is not None:
                ours.close()
            return
        self.returned = True
        self.complete()  # closes the loop's copy
        # A closing handshake may still run in a thread of the application.
        assert ours is not None
        self.connection.engine.loop.call_later(LINGER, _shut_down, ours)

    def disconnected(self) -> None:
        if self._taken_over and self._socket is not None:
            _shut_down(self._socket)
        super().disconnected()


def _shut_down(taken: socket.socket) -> None:
    """Shut the connection down for all its copies, and wake threads that wait in a call on it."""
    with suppress(OSError):  # it was closed
        taken.shutdown(socket.SHUT_RDWR)


def _ends_connection(error: BaseException) -> bool:
    """Whether ``error`` says that the connection that the application took over has ended.

    flask-sock raises StopIteration for "no response to send", as gunicorn expects. python-engineio
    raises ConnectionError for that, and a bare OSError if its client is gone.
    """
    if isinstance(error, ConnectionRefusedError):  # never of an accepted socket
        return False
    if isinstance(error, OSError):
        bare = type(error) is OSError and error.errno is None
        return bare or isinstance(error, ConnectionError) or error.errno in _ENDED
    return isinstance(error, (StopIteration, *_closed_by_library()))


def _closed_by_library() -> tuple[type[BaseException], ...]:
    """Return simple-websocket's ConnectionClosed, if the application has imported it."""
    library = sys.modules.get("simple_websocket")
    return () if library is None else (library.ConnectionClosed,)
