"""The gate, on a scoreboard that the test writes."""

from dataclasses import dataclass, field

import pytest

from pyfork.dispatch.least import CROWDED, JUST_NOW, LATE, MAX_DEFERRALS, LeastConnections
from pyfork.ipc.scoreboard import Accepting, Row, Scoreboard


@dataclass
class Board:
    """Worker 0 and its gate, and the others."""

    fewest: bool = True
    scoreboard: Scoreboard = field(default_factory=lambda: Scoreboard(8))
    gate: LeastConnections = field(init=False)
    now: float = field(init=False)

    def __post_init__(self) -> None:
        self.now = 100.0
        own = self.worker(0, connections=3)
        self.gate = LeastConnections(self.scoreboard, own, lambda: self.now, fewest=self.fewest)

    def worker(self, index: int, *, connections: int = 0, accepting: int = 1) -> Row:
        self.scoreboard.mark_used(index)
        row = self.scoreboard.row(index)
        row.connections, row.accepting = connections, accepting
        return row


@pytest.fixture
def board() -> Board:
    return Board()


def test_alone_it_takes_all(board: Board) -> None:
    assert not board.gate.should_defer()


@pytest.mark.parametrize("theirs", [3, 4])
def test_it_takes_what_nobody_needs_more(board: Board, theirs: int) -> None:
    board.worker(1, connections=theirs)
    assert not board.gate.should_defer()


def test_it_gives_way_to_whoever_has_fewer(board: Board) -> None:
    board.worker(1, connections=4)
    board.worker(2, connections=2)
    assert board.gate.should_defer()


def test_it_gives_way_to_nobody_who_does_not_accept(board: Board) -> None:
    board.worker(1, accepting=0)
    board.worker(2).clear()
    assert not board.gate.should_defer()


def test_it_gives_way_to_nobody_whose_requests_wait(board: Board) -> None:
    board.worker(1, accepting=Accepting.ON_CREDIT)
    assert not board.gate.should_defer()


@pytest.mark.parametrize("theirs", [2, 3, 4])
@pytest.mark.parametrize("fewest", [True, False])
def test_saturated_it_gives_way_to_whoever_is_free(theirs: int, fewest: bool) -> None:
    board = Board(fewest)
    board.worker(0, connections=3, accepting=Accepting.ON_CREDIT)
    board.worker(1, connections=theirs)
    assert board.gate.should_defer(saturated=True)


@pytest.mark.parametrize("theirs", [2, 3, 4])
@pytest.mark.parametrize("fewest", [True, False])
def test_among_saturated_ones_connections_decide(theirs: int, fewest: bool) -> None:
    board = Board(fewest)
    board.worker(0, connections=3, accepting=Accepting.ON_CREDIT)
    board.worker(1, connections=theirs, accepting=Accepting.ON_CREDIT)
    assert board.gate.should_defer(saturated=True) == (fewest and theirs == 2)


def test_saturated_without_connections_it_gives_way_too(board: Board) -> None:
    """Its clients have gone, and their requests still run."""
    board.worker(0, connections=0, accepting=Accepting.ON_CREDIT)
    board.worker(1, connections=1)
    assert board.gate.should_defer(saturated=True)


def test_another_is_free_while_its_application_has_nothing_to_do(board: Board) -> None:
    assert not board.gate.others_are_free()
    other = board.worker(1)
    assert board.gate.others_are_free()
    other.in_flight = 1
    assert not board.gate.others_are_free()
    other.in_flight = 0
    other.accepting = Accepting.NO
    assert not board.gate.others_are_free()


def test_who_accepts_nothing_is_asleep_until_it_does(board: Board) -> None:
    asleep = board.worker(1)
    assert all(board.gate.should_defer() for _ in range(MAX_DEFERRALS))
    asleep.requests += 1  # it answers whom it has, which may take it long
    assert not board.gate.should_defer()
    asleep.accepted += 1
    assert board.gate.should_defer()


def test_who_accepts_is_given_way_to_for_as_long_as_it_has_fewer(board: Board) -> None:
    busy = board.worker(1)
    for _ in range(3 * MAX_DEFERRALS):
        assert board.gate.should_defer()
        busy.accepted += 1


def test_it_gives_way_to_nobody_whose_loop_a_request_holds(board: Board) -> None:
    held = board.worker(1)
    held.held = 1
    assert not board.gate.should_defer()
    held.held = 0
    assert board.gate.should_defer()


def test_on_a_machine_without_a_core_one_moment_is_enough(board: Board) -> None:
    board.worker(1)
    assert board.gate.should_defer()
    board.gate.deferred(LATE / 2)
    assert board.gate.should_defer()
    board.gate.deferred(2 * LATE)
    assert not board.gate.should_defer()
    board.now += CROWDED
    assert board.gate.should_defer()


def test_it_waits_for_one_that_may_come_though_another_is_asleep(board: Board) -> None:
    board.worker(1)
    while board.gate.should_defer():
        pass
    board.worker(2)
    assert all(board.gate.should_defer() for _ in range(MAX_DEFERRALS))
    assert not board.gate.should_defer()


def test_whose_connections_come_and_go_gives_no_way(board: Board) -> None:
    own = board.scoreboard.row(0)
    board.worker(1)
    own.accepted = own.connections
    assert board.gate.should_defer()
    for _ in range(4):  # a look every 12 ms, in which five came and five went
        board.now += 1.2 * JUST_NOW
        own.accepted += 5
        gives_way = board.gate.should_defer()
    assert not gives_way
    board.now += 3 * JUST_NOW
    assert board.gate.should_defer()
