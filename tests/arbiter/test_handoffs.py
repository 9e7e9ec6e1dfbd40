"""Who gets a connection that a retiring worker offers, and what the giver hears of it."""

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
    """Handoffs between members that are only lines of a scoreboard; ``posts`` is what was sent."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.handoffs = HandoffBroker(self.send)
        self.members: list[WorkerProcess] = []
        self.scoreboard = Scoreboard(10)
        self.out_of_fds = False

    def send(self, channel: Channel, message: Message, fds: Sequence[int]) -> None:
        if fds and self.out_of_fds:
            raise OSError("too many open files")
        (member,) = (each for each in self.members if each.channel is channel)
        self.posts.append((member.serial, message, tuple(fds)))

    def member(
        self, *, generation: int = 2, connections: int = 0, in_flight: int = 0
    ) -> WorkerProcess:
        ours, theirs = pair()
        ours.close()
        theirs.close()
        serial = len(self.members)
        line = self.scoreboard.line(serial)
        line.connections, line.in_flight = connections, in_flight
        member = WorkerProcess(
            serial=serial,
            slot=0,
            generation=generation,
            pid=0,
            channel=ours,
            line=line,
            index=serial,
            born=0,
            ready_at=1,
        )
        self.members.append(member)
        return member

    def offer(self, connection: int = 7, fds: Sequence[int] = FDS) -> list[Post]:
        """The first member offers; returns what was sent."""
        self.posts.clear()
        self.handoffs.offer(self.members[0], connection, fds, self.members)
        return self.posts


@pytest.fixture
def office() -> FakePeers:
    """An office with a retiring worker, number 0."""
    made = FakePeers()
    made.member(generation=1).retiring = True
    return made


def test_the_newest_and_least_busy_takes_it(office: FakePeers) -> None:
    office.member(generation=1)
    office.member(connections=1, in_flight=1)
    office.member(connections=6)
    office.member(connections=5)
    assert office.offer() == [(4, HandoffTake(1), FDS)]


def test_those_on_their_way_count(office: FakePeers) -> None:
    office.member(connections=1)
    office.member(connections=0)
    takers = [office.offer(number)[0][0] for number in range(5)]
    assert takers == [2, 1, 2, 1, 2]


def test_the_giver_hears_once_what_became_of_it(office: FakePeers) -> None:
    office.member()
    for taken, answer in [(True, HandoffDone(7)), (False, HandoffFailed(7, final=False))]:
        ((_, take, _),) = office.offer()
        assert isinstance(take, HandoffTake)
        office.posts.clear()
        office.handoffs.complete(take.ticket, taken=taken)
        office.handoffs.complete(take.ticket, taken=taken)
        assert office.posts == [(0, answer, ())]


def test_without_others_it_is_the_givers_for_good(office: FakePeers) -> None:
    office.member().retiring = True
    office.member().kill_reason = "it hangs"
    office.member().boot_error = Failed("no such module", "")
    assert office.offer() == [(0, HandoffFailed(7, final=True), ())]


def test_while_another_boots_there_is_hope(office: FakePeers) -> None:
    office.member().ready_at = None
    assert office.offer() == [(0, HandoffFailed(7, final=False), ())]


def test_lost_fds_and_no_room_for_them_pass(office: FakePeers) -> None:
    office.member()
    assert office.offer(fds=()) == [(0, HandoffFailed(7, final=False), ())]
    office.out_of_fds = True
    assert office.offer() == [(0, HandoffFailed(7, final=False), ())]


def test_a_taker_that_dies_leaves_it_where_it_is(office: FakePeers) -> None:
    taker = office.member()
    office.offer()
    office.posts.clear()
    office.handoffs.drop_worker(taker)
    office.handoffs.complete(1, taken=True)
    assert office.posts == [(0, HandoffFailed(7, final=False), ())]


def test_a_giver_that_dies_is_not_answered(office: FakePeers) -> None:
    office.member()
    office.offer()
    office.posts.clear()
    office.handoffs.drop_worker(office.members[0])
    office.handoffs.complete(1, taken=True)
    assert office.posts == []
