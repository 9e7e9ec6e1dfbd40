"""Clients that know which worker answers them, and after how long."""

import os
import re
import selectors
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.harness.server import Server

# What to serve in each kind of worker.
KINDS: dict[str, tuple[str, ...]] = {
    "sync": ("tests.end_to_end.dispatch.app:wsgi", "-k", "sync"),
    "thread": ("tests.end_to_end.dispatch.app:wsgi", "-k", "thread", "--threads", "16"),
    "asgi": ("tests.end_to_end.dispatch.app:asgi", "--lifespan", "off"),
}

REQUEST = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answers:
    """Who answered each connection, and the longest that one took."""

    pids: tuple[int, ...]
    longest: float  # seconds

    @property
    def shares(self) -> list[int]:
        """How many connections each worker had that had any, largest first."""
        return sorted(Counter(self.pids).values(), reverse=True)


def burst(port: int, count: int, timeout: float = 15.0) -> Answers:
    """``count`` connections at once, all kept until all are answered."""
    began = time.monotonic()
    pids: list[int] = []
    longest = 0.0
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            client = connect(port, b"/")
            selector.register(client, selectors.EVENT_READ)
        clients = [key.fileobj for key in selector.get_map().values()]
        while selector.get_map():
            ready = selector.select(began + timeout - time.monotonic())
            assert ready, f"{len(selector.get_map())} of {count} are not answered"
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                pids.append(answer(key.fileobj))
                longest = time.monotonic() - began
                selector.unregister(key.fileobj)
        for client in clients:
            assert isinstance(client, socket.socket)
            client.close()
    return Answers(tuple(pids), longest)


def connect(port: int, target: bytes) -> socket.socket:
    """A connection on which a request has been sent."""
    client = socket.create_connection(("127.0.0.1", port), timeout=15)
    client.sendall(REQUEST % target)
    return client


def answer(client: socket.socket) -> int:
    """The pid in the response that is there; it is so short that it comes in one piece."""
    data = client.recv(65536)
    assert data.startswith(b"HTTP/1.1 200 "), data
    return int(data.rpartition(b"\r\n\r\n")[2])


@contextmanager
def one_blocked(server: Server, port: int) -> Iterator[int]:
    """One of its workers does nothing else for a minute; its process id. It is killed then."""
    with connect(port, b"/block?s=60"):
        said = server.until(lambda: re.search(r"blocked (\d+)\n", server.out), "one is blocked")
        assert said
        pid = int(said[1])
        yield pid
        os.kill(pid, signal.SIGKILL)


def wait_idle(server: Server) -> None:
    """Wait until no worker has a connection."""

    def idle() -> bool:
        return not any(
            each.status != psutil.CONN_LISTEN
            for worker in server.workers()
            for each in worker.net_connections("tcp")
        )

    server.until(idle, "all connections are closed")
