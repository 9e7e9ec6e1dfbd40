"""The kernel side of a shared socket: never blocking, whatever the script believes."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from pyfork.cluster.sockets import shared_socket
from pyfork.cluster.sockets.fd_table import FdTable
from pyfork.cluster.sockets.shared_socket import SocketMethods
from tests.harness.server import PATIENCE


class Owner:
    """Has the table, and closes."""

    def __init__(self) -> None:
        self.fds = FdTable()

    def share(self, sock: socket.socket) -> None:
        self.fds.add(sock.fileno(), "key", listens=True)
        shared_socket.keep_nonblocking(sock)

    def forget(self, fd: int, close: Callable[[], object]) -> None:
        self.fds.remove(fd)
        close()


@pytest.fixture
def listener() -> Iterator[Any]:
    owner: Any = Owner()
    kind: Any = type("Socket", (socket.socket,), {})
    SocketMethods(owner, owner.fds, kind).install()

    class Watched(kind):  # type: ignore[misc]
        """Looks at what it shares after each change, as another process might at that instant."""

        hung = False

        def settimeout(self, value: float | None) -> None:
            super().settimeout(value)
            self.look()

        def setblocking(self, flag: bool) -> None:
            super().setblocking(flag)
            self.look()

        def look(self) -> None:
            self.hung |= os.get_blocking(self.fileno())

    with Watched() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        os.set_blocking(made.fileno(), False)  # as the arbiter does
        owner.share(made)
        yield made


CHANGES: dict[str, Callable[[socket.socket], object]] = {
    "shared": lambda sock: None,
    "settimeout None": lambda sock: sock.settimeout(None),
    "settimeout": lambda sock: (sock.settimeout(5), sock.settimeout(0), sock.settimeout(None)),
    "setblocking": lambda sock: (sock.setblocking(False), sock.setblocking(True)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_other_process_can_hang(
    listener: Any, change: Callable[[socket.socket], object]
) -> None:
    change(listener)
    assert not listener.hung
    assert listener.gettimeout() is None
    assert listener.timeout is None
    assert listener.getblocking()


def test_a_copy_neither(listener: Any) -> None:
    base = type(listener).__base__
    shared_fds = (base.dup(listener), base(fileno=os.dup(listener.fileno())))
    for copy in shared_fds:
        with copy:
            copy.setblocking(True)
            assert copy.gettimeout() is None
            assert not os.get_blocking(copy.fileno())


def test_another_socket_is_what_it_always_was(listener: Any) -> None:
    with type(listener).__base__() as other:
        other.setblocking(True)
        assert os.get_blocking(other.fileno())
        with pytest.raises(OSError, match="Invalid argument"):
            other.accept()


def test_it_waits_as_the_script_has_said(listener: Any) -> None:
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.settimeout(0.01)
    assert listener.gettimeout() == 0.01
    with pytest.raises(TimeoutError):
        listener.accept()


def test_without_a_timeout_it_waits_without_end(
    listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_socket, "_NO_TIMEOUT", 0.01)  # it is over again and again
    accepted: list[socket.socket] = []
    waiting = threading.Thread(target=lambda: accepted.append(listener.accept()[0]), daemon=True)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    with closing(socket.create_connection(listener.getsockname(), timeout=PATIENCE)):
        waiting.join(PATIENCE)
        (connection,) = accepted
        with connection:
            assert connection.gettimeout() is None
            assert os.get_blocking(connection.fileno())
