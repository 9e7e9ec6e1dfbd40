"""The desk, in this process: what comes, from where, and who waits how long."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from pyfork.cluster.sockets.accept_epoll import (
    EPOLL,
    AcceptEpoll,
    FdQueueSource,
    ListenerSource,
    place,
)
from pyfork.cluster.sockets.ledger import ConnectionCounter
from pyfork.ipc.fd_queue import FdQueue
from pyfork.ipc.scoreboard import Scoreboard
from tests.server import PATIENCE

pytestmark = pytest.mark.skipif(EPOLL is None, reason="this system has no epoll")


@dataclass
class Office:
    """A desk, and a listener that may be put behind it."""

    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    entered: list[int] = field(default_factory=list)
    ways: list[bool] = field(default_factory=list)  # whether way is given, next time first
    desk: AcceptEpoll = field(init=False)

    def __post_init__(self) -> None:
        self.desk = AcceptEpoll(
            self.listener.dup(),
            entered=self.entered.append,
            gives_way=lambda: bool(self.ways) and self.ways.pop(0),
        )

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=PATIENCE)

    def accept(self, timeout: float | None = PATIENCE) -> tuple[str, int]:
        """The address of whom it accepted."""
        fd, address = self.desk.accept(timeout)
        os.close(fd)
        assert self.entered[-1] == fd
        return address  # type: ignore[no-any-return]


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.desk.close()
    made.listener.close()


def test_nothing_comes_from_nowhere(office: Office) -> None:
    with office.connect(), pytest.raises(BlockingIOError):
        office.desk.accept(0)
    with pytest.raises(TimeoutError):
        office.desk.accept(0.01)


def test_a_queue_and_a_tray_at_once(office: Office) -> None:
    tray = FdQueue.make()
    office.desk.add_listeners("queue", ListenerSource(office.listener.dup()))
    office.desk.add_listeners("tray", place(tray.theirs.dup()))
    with office.connect() as first:
        assert office.accept() == first.getsockname()
    office.desk.remove_listeners("queue")
    with office.connect() as second:
        taken, _ = office.listener.accept()
        assert tray.put(7, taken)
        taken.close()
        assert office.accept(None) == second.getsockname()
    assert tray.taken() == [7]
    with pytest.raises(BlockingIOError):
        office.desk.accept(0)
    tray.close()


def test_a_client_that_has_gone_is_passed_over(office: Office) -> None:
    tray = FdQueue.make()
    office.desk.add_listeners("tray", FdQueueSource(tray.theirs.dup()))
    for number in (1, 2):
        client = office.connect()
        taken, _ = office.listener.accept()
        assert tray.put(number, taken)
        if number == 1:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()  # by a reset
        taken.close()
    with client:
        assert office.accept() == client.getsockname()
    tray.close()


def test_it_is_readable_for_any_loop(office: Office) -> None:
    waiting = select.poll()
    waiting.register(office.desk.fileno(), select.POLLIN)
    office.desk.add_listeners("queue", ListenerSource(office.listener.dup()))
    assert not waiting.poll(0)
    with office.connect():
        assert waiting.poll(PATIENCE * 1000)
        office.accept(0)
        assert not waiting.poll(0)
    office.desk.probe()
    assert waiting.poll(0)
    with pytest.raises(BlockingIOError):
        office.desk.accept(0)
    assert not waiting.poll(0)


def test_way_is_given_and_the_connection_stays(office: Office) -> None:
    office.desk.add_listeners("queue", ListenerSource(office.listener.dup()))
    office.ways = [True, True]
    with office.connect() as client:
        with pytest.raises(BlockingIOError):
            office.desk.accept(0)
        assert not office.entered
        assert office.accept() == client.getsockname()
    assert not office.ways


def test_who_waits_is_woken_by_what_comes_later(office: Office) -> None:
    found: list[tuple[str, int]] = []
    waiting = threading.Thread(target=lambda: found.append(office.accept(None)), daemon=True)
    waiting.start()
    with office.connect() as client:
        office.desk.add_listeners("queue", ListenerSource(office.listener.dup()))
        waiting.join(PATIENCE)
        assert found == [client.getsockname()]


def test_a_closed_desk_is_a_closed_socket() -> None:
    office = Office()
    office.desk.close()
    office.listener.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        office.desk.accept(0)


def test_the_ledger_sees_connections_end() -> None:
    line = Scoreboard(1).line(0)
    ledger = ConnectionCounter(line)
    pairs = [socket.socketpair() for _ in range(3)]
    for one, _ in pairs:
        ledger.on_accept(one.fileno())
    assert (line.connections, line.accepted) == (3, 3)
    pairs[0][0].close()
    ends = socket.socketpair()  # takes its number
    pairs[1][0].close()

    def looked() -> int:
        ledger.scan()
        return line.connections

    while looked() != 1:  # not at once: a look is not taken all the time
        pass
    assert line.accepted == 3
    for each in (*ends, *(end for pair in pairs for end in pair)):
        each.close()
