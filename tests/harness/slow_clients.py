"""Many clients that do next to nothing, in one thread of the test."""

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType


class SlowClients:
    """Sockets connected to a port, each poked once a second until the block is left.

    Args:
        count: how many.
        greeting: what each sends at first.
        poke: what is done to each, once a second.
    """

    def __init__(
        self,
        port: int,
        count: int,
        *,
        greeting: bytes = b"",
        poke: Callable[[socket.socket], object] = lambda client: None,
    ) -> None:
        self._port = port
        self._count = count
        self._greeting = greeting
        self._poke = poke
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live)
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> "SlowClients":
        for _ in range(self._count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", self._port))
            client.sendall(self._greeting)
            client.setblocking(False)
            self.sockets.append(client)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        for client in self.sockets:
            client.close()

    def _live(self) -> None:
        while not self._over.wait(1.0):
            for client in self.sockets:
                with contextlib.suppress(OSError):  # the server may have had enough of it
                    self._poke(client)


def send_byte(client: socket.socket) -> None:
    """Send one more byte of whatever it is sending."""
    client.send(b"x")


def read_byte(client: socket.socket) -> None:
    """Read one byte."""
    client.recv(1)


def answers(clients: list[socket.socket], request: bytes, timeout: float) -> int:
    """Send ``request`` on all, and count those that answer with 200 in ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    answered = 0
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.sendall(request)
            selector.register(client, selectors.EVENT_READ)
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                answered += key.fileobj.recv(65536).startswith(b"HTTP/1.1 200")
                selector.unregister(key.fileobj)
    return answered
