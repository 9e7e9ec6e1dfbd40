"""The epoll, in this process: what comes, from where, and who waits how long."""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from pyfork.cluster.sockets.accept_epoll import (
    EPOLL,
    AcceptEpoll,
    FdQueueSource,
    ListenerSource,
    source_for,
)
from pyfork.cluster.sockets.child_epoll import ChildEpolls
from pyfork.cluster.sockets.connection_counter import ConnectionCounter
from pyfork.ipc.fd_queue import FdQueue
from pyfork.ipc.messages import Message, Sources
from pyfork.ipc.scoreboard import Scoreboard
from tests.harness.server import PATIENCE

pytestmark = pytest.mark.skipif(EPOLL is None, reason="this system has no epoll")


@dataclass
class EpollSite:
    """A epoll, and a listener that may be put behind it."""

    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    accepted: list[int] = field(default_factory=list)
    deferrals: list[bool] = field(default_factory=list)  # whether way is given, next time first
    epoll: AcceptEpoll = field(init=False)

    def __post_init__(self) -> None:
        self.epoll = AcceptEpoll(
            self.listener.dup(),
            on_accept=self.accepted.append,
            should_defer=lambda: bool(self.deferrals) and self.deferrals.pop(0),
        )

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=PATIENCE)

    def accept(self, timeout: float | None = PATIENCE) -> tuple[str, int]:
        """The address of whom it accepted."""
        fd, address = self.epoll.accept(timeout)
        os.close(fd)
        assert self.accepted[-1] == fd
        return address  # type: ignore[no-any-return]


@pytest.fixture
def site() -> Iterator[EpollSite]:
    made = EpollSite()
    yield made
    made.epoll.close()
    made.listener.close()


def test_nothing_comes_from_nowhere(site: EpollSite) -> None:
    with site.connect(), pytest.raises(BlockingIOError):
        site.epoll.accept(0)
    with pytest.raises(TimeoutError):
        site.epoll.accept(0.01)


def test_a_listener_and_an_fd_queue_at_once(site: EpollSite) -> None:
    queue_end = FdQueue.make()
    site.epoll.add_listeners("queue", ListenerSource(site.listener.dup()))
    site.epoll.add_listeners("queue_end", source_for(queue_end.theirs.dup()))
    with site.connect() as first:
        assert site.accept() == first.getsockname()
    site.epoll.remove_listeners("queue")
    with site.connect() as second:
        taken, _ = site.listener.accept()
        assert queue_end.put(7, taken)
        taken.close()
        assert site.accept(None) == second.getsockname()
    assert queue_end.taken() == [7]
    with pytest.raises(BlockingIOError):
        site.epoll.accept(0)
    queue_end.close()


def test_a_client_that_has_gone_is_passed_over(site: EpollSite) -> None:
    queue_end = FdQueue.make()
    site.epoll.add_listeners("queue_end", FdQueueSource(queue_end.theirs.dup()))
    for number in (1, 2):
        client = site.connect()
        taken, _ = site.listener.accept()
        assert queue_end.put(number, taken)
        if number == 1:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()  # by a reset
        taken.close()
    with client:
        assert site.accept() == client.getsockname()
    queue_end.close()


def test_it_is_readable_for_any_loop(site: EpollSite) -> None:
    waiting = select.poll()
    waiting.register(site.epoll.fileno(), select.POLLIN)
    site.epoll.add_listeners("queue", ListenerSource(site.listener.dup()))
    assert not waiting.poll(0)
    with site.connect():
        assert waiting.poll(PATIENCE * 1000)
        site.accept(0)
        assert not waiting.poll(0)
    site.epoll.probe()
    assert waiting.poll(0)
    with pytest.raises(BlockingIOError):
        site.epoll.accept(0)
    assert not waiting.poll(0)


def test_way_is_given_and_the_connection_stays(site: EpollSite) -> None:
    site.epoll.add_listeners("queue", ListenerSource(site.listener.dup()))
    site.deferrals = [True, True]
    with site.connect() as client:
        with pytest.raises(BlockingIOError):
            site.epoll.accept(0)
        assert not site.accepted
        assert site.accept() == client.getsockname()
    assert not site.deferrals


def test_who_waits_is_woken_by_what_comes_later(site: EpollSite) -> None:
    found: list[tuple[str, int]] = []
    waiting = threading.Thread(target=lambda: found.append(site.accept(None)), daemon=True)
    waiting.start()
    with site.connect() as client:
        site.epoll.add_listeners("queue", ListenerSource(site.listener.dup()))
        waiting.join(PATIENCE)
        assert found == [client.getsockname()]


def test_a_closed_desk_is_a_closed_socket() -> None:
    site = EpollSite()
    site.epoll.close()
    site.listener.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        site.epoll.accept(0)


@dataclass
class ChildSite:
    """A child's view of the epoll; it asks as over a relay, and gets copies."""

    site: EpollSite
    asked: int = 0

    def __post_init__(self) -> None:
        epoll = self.site.epoll
        sent = (os.dup(each) for each in (epoll.fileno(), epoll.probe_fd, epoll.state.fd))
        self.epoll = ChildEpolls(self._ask).add_sent("key", epoll.handle.dup(), *sent)

    def _ask(self, request: Callable[[int], Message]) -> tuple[Message, list[int]]:
        self.asked += 1
        epoll = self.site.epoll
        found = epoll.source_fds()
        return Sources(0, epoll.probe_fd, found), [os.dup(fd) for fd in found]

    def accept(self, timeout: float | None = PATIENCE) -> tuple[str, int]:
        fd, address = self.epoll.accept(timeout)
        os.close(fd)
        return address  # type: ignore[no-any-return]


@pytest.fixture
def child(site: EpollSite) -> Iterator[ChildSite]:
    made = ChildSite(site)
    yield made
    made.epoll.close()


def test_a_child_accepts_from_a_source_that_came_later(site: EpollSite, child: ChildSite) -> None:
    with pytest.raises(BlockingIOError):
        child.accept(0)
    site.epoll.add_listeners("queue", ListenerSource(site.listener.dup()))
    for _ in range(2):
        with site.connect() as client:
            assert child.accept() == client.getsockname()
    assert child.asked == 1
    assert site.epoll.state.child_accepts
    assert not site.accepted  # the worker's count


def test_a_child_does_not_take_one_source_for_another(site: EpollSite, child: ChildSite) -> None:
    """The second one has the number of the first in the worker."""
    site.epoll.add_listeners("queue", ListenerSource(site.listener.dup()))
    with site.connect() as client:
        assert child.accept() == client.getsockname()
    queue = FdQueue.make()
    end = queue.theirs.dup()
    (number,) = site.epoll.source_fds()
    site.epoll.remove_listeners("queue")
    os.dup2(end.fileno(), number)
    end.close()
    site.epoll.add_listeners("queue_end", FdQueueSource(socket.socket(fileno=number)))
    with site.connect() as client:
        taken, _ = site.listener.accept()
        assert queue.put(7, taken)
        taken.close()
        assert child.accept() == client.getsockname()
    assert queue.taken() == [7]
    queue.close()


def test_a_worker_stops_its_children(site: EpollSite, child: ChildSite) -> None:
    site.epoll.add_listeners("queue", ListenerSource(site.listener.dup()))
    with site.connect() as client:
        assert child.accept() == client.getsockname()
    site.epoll.finish(others_serve=True)
    with site.connect() as client, pytest.raises(BlockingIOError):
        child.accept(0)


def test_a_child_that_closes_its_copy_stops_nobody_else(site: EpollSite, child: ChildSite) -> None:
    site.epoll.add_listeners("queue", ListenerSource(site.listener.dup()))
    other = ChildSite(site)
    with site.connect() as client:
        assert other.accept() == client.getsockname()
    other.epoll.close()
    for each in (child, site):
        with site.connect() as client:
            assert each.accept() == client.getsockname()


def test_a_child_that_comes_to_accept_answers_a_probe(site: EpollSite, child: ChildSite) -> None:
    site.epoll.probe()
    before = site.epoll.state.last_accept
    with pytest.raises(BlockingIOError):
        child.accept(0)
    assert site.epoll.state.last_accept > before
    waiting = select.poll()
    waiting.register(site.epoll.fileno(), select.POLLIN)
    assert not waiting.poll(0)


def test_the_counter_sees_connections_end() -> None:
    row = Scoreboard(1).row(0)
    counter = ConnectionCounter(row)
    pairs = [socket.socketpair() for _ in range(3)]
    for one, _ in pairs:
        counter.on_accept(one.fileno())
    assert (row.connections, row.accepted) == (3, 3)
    pairs[0][0].close()
    ends = socket.socketpair()  # takes its number
    pairs[1][0].close()

    def looked() -> int:
        counter.scan()
        return row.connections

    while looked() != 1:  # not at once: a look is not taken all the time
        pass
    assert row.accepted == 3
    for each in (*ends, *(end for pair in pairs for end in pair)):
        each.close()
