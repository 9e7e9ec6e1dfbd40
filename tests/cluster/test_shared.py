"""The kernel side of a shared socket: never blocking, whatever the script believes."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from pyfork.cluster import shared
from tests.server import PATIENCE


class Watched(socket.socket):
    """Looks at what it shares after each change, as another process might at that instant."""

    hung: list[float | None]

    def settimeout(self, value: float | None) -> None:
        super().settimeout(value)
        if os.get_blocking(self.fileno()):
            self.hung.append(value)


class Owner:
    """Nobody."""

    def decide(self, sock: Any) -> None: ...

    def withdraw(self, sock: Any) -> None: ...

    def forget(self, fd: int, close: Callable[[], object]) -> None:
        close()


@pytest.fixture
def listener() -> Iterator[Watched]:
    with Watched() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        os.set_blocking(made.fileno(), False)  # as the arbiter does
        made.hung = []
        yield made


CHANGES: dict[str, Callable[[socket.socket], object]] = {
    "shared": lambda sock: None,
    "settimeout None": lambda sock: sock.settimeout(None),
    "settimeout": lambda sock: (sock.settimeout(5), sock.settimeout(0), sock.settimeout(None)),
    "setblocking": lambda sock: (sock.setblocking(False), sock.setblocking(True)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_other_process_can_hang(
    listener: Watched, change: Callable[[socket.socket], object]
) -> None:
    shared.share(listener, Owner())
    change(listener)
    assert not listener.hung
    assert listener.gettimeout() is None
    assert listener.timeout is None
    assert listener.getblocking()


def test_a_copy_neither(listener: Watched) -> None:
    shared.share(listener, Owner())
    with socket.socket.dup(listener) as copy:
        assert copy.gettimeout() is None
        assert not os.get_blocking(copy.fileno())


def test_it_waits_as_the_script_has_said(listener: Watched) -> None:
    shared.share(listener, Owner())
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.settimeout(0.01)
    assert listener.gettimeout() == 0.01
    with pytest.raises(TimeoutError):
        listener.accept()


def test_without_a_timeout_it_waits_without_end(
    listener: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_ENDLESS", 0.01)  # it is over again and again
    shared.share(listener, Owner())
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
