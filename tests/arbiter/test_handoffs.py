"""The worker that gets an offered connection, and the answer to the source."""

from collections.abc import Sequence

import pytest

from pyfork.arbiter.listeners.handoff import HandoffBroker
from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.ipc.channel import Channel, pair
from pyfork.ipc.messages import Failed, HandoffDone, HandoffFailed, HandoffTake, Message
from pyfork.ipc.scoreboard import Scoreboard

FDS = (0,)  # any number: nothing here looks at it

Post = tuple[int, Message, Sequence[int]]


class FakePeers:
    """Handoffs between workers without processes; ``posts`` are the messages that were sent."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.handoffs = HandoffBroker(self.send)
        self.workers: list[WorkerProcess] = []
        self.scoreboard = Scoreboard(10)
        self.out_of_fds = False

    def send(self, channel: Channel, message: Message, fds: Sequence[int]) -> None:
        if fds and self.out_of_fds:
            raise OSError("too many open files")
        (worker,) = (each for each in self.workers if each.channel is channel)
        self.posts.append((worker.serial, message, tuple(fds)))

    def worker(
        self, *, generation: int = 2, connections: int = 0, in_flight: int = 0
    ) -> WorkerProcess:
        ours, theirs = pair()
        ours.close()
        theirs.close()
        serial = len(self.workers)
        row = self.scoreboard.row(serial)
        row.connections, row.in_flight = connections, in_flight
        worker = WorkerProcess(
            serial=serial,
            slot=0,
            generation=generation,
            pid=0,
            channel=ours,
            row=row,
            index=serial,
            born=0,
            ready_at=1,
        )
        self.workers.append(worker)
        return worker

    def offer(self, connection: int = 7, fds: Sequence[int] = FDS) -> list[Post]:
        """The first worker offers; returns what was sent."""
        self.posts.clear()
        self.handoffs.offer(self.workers[0], connection, fds, self.workers)
        return self.posts


@pytest.fixture
def peers() -> FakePeers:
    """Fake peers; worker 0 is retiring."""
    made = FakePeers()
    made.worker(generation=1).retiring = True
    return made


def test_the_newest_and_least_busy_takes_it(peers: FakePeers) -> None:
    peers.worker(generation=1)
    peers.worker(connections=1, in_flight=1)
    peers.worker(connections=6)
    peers.worker(connections=5)
    assert peers.offer() == [(4, HandoffTake(1), FDS)]


def test_those_on_their_way_count(peers: FakePeers) -> None:
    peers.worker(connections=1)
    peers.worker(connections=0)
    takers = [peers.offer(number)[0][0] for number in range(5)]
    assert takers == [2, 1, 2, 1, 2]


def test_the_giver_hears_once_what_became_of_it(peers: FakePeers) -> None:
    peers.worker()
    for taken, answer in [(True, HandoffDone(7)), (False, HandoffFailed(7, final=False))]:
        ((_, take, _),) = peers.offer()
        assert isinstance(take, HandoffTake)
        peers.posts.clear()
        peers.handoffs.complete(take.ticket, taken=taken)
        peers.handoffs.complete(take.ticket, taken=taken)
        assert peers.posts == [(0, answer, ())]


def test_without_others_it_is_the_givers_for_good(peers: FakePeers) -> None:
    peers.worker().retiring = True
    peers.worker().kill_reason = "it hangs"
    peers.worker().boot_error = Failed("no such module", "")
    assert peers.offer() == [(0, HandoffFailed(7, final=True), ())]


def test_while_another_boots_there_is_hope(peers: FakePeers) -> None:
    peers.worker().ready_at = None
    assert peers.offer() == [(0, HandoffFailed(7, final=False), ())]


def test_lost_fds_and_no_room_for_them_pass(peers: FakePeers) -> None:
    peers.worker()
    assert peers.offer(fds=()) == [(0, HandoffFailed(7, final=False), ())]
    peers.out_of_fds = True
    assert peers.offer() == [(0, HandoffFailed(7, final=False), ())]


def test_a_taker_that_dies_leaves_it_where_it_is(peers: FakePeers) -> None:
    target = peers.worker()
    peers.offer()
    peers.posts.clear()
    peers.handoffs.drop_worker(target)
    peers.handoffs.complete(1, taken=True)
    assert peers.posts == [(0, HandoffFailed(7, final=False), ())]


def test_a_giver_that_dies_is_not_answered(peers: FakePeers) -> None:
    peers.worker()
    peers.offer()
    peers.posts.clear()
    peers.handoffs.drop_worker(peers.workers[0])
    peers.handoffs.complete(1, taken=True)
    assert peers.posts == []
