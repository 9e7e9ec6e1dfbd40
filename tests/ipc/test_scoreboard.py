"""The scoreboard, seen from two processes."""

import os

import pytest

from pyfork.ipc.scoreboard import DEADLINE, DOING_BYTES, REQUESTS, RowState, Scoreboard


def test_what_a_child_writes_its_parent_reads() -> None:
    board = Scoreboard(3)
    pid = os.fork()
    if pid == 0:
        row = board.row(1)
        row.pid, row.slot, row.generation, row.state = 4711, 2, 5, RowState.SERVING
        row.requests += 7
        row.connections, row.in_flight, row.busy_since, row.deadline = 3, 1, 1.25, 2.5
        row.activity = "GET /caf\u00e9"
        os._exit(0)
    os.waitpid(pid, 0)
    row = board.row(1)
    assert (row.pid, row.slot, row.generation) == (4711, 2, 5)
    assert row.state is RowState.SERVING
    assert (row.connections, row.in_flight, row.requests) == (3, 1, 7)
    assert (row.busy_since, row.deadline) == (1.25, 2.5)
    assert row.times[DEADLINE] == 2.5
    assert row.activity == "GET /caf\u00e9"
    for other in (board.row(0), board.row(2)):
        assert not any(other.cells)
        assert other.activity == ""


def test_clear_frees_a_line() -> None:
    row = Scoreboard(1).row(0)
    row.requests, row.deadline, row.activity, row.state = 1, 2.5, "GET /", RowState.DRAINING
    row.clear()
    assert not any(row.cells)
    assert row.activity == ""
    assert row.state is RowState.FREE


def test_text_is_cut_to_its_place_and_replaced_whole() -> None:
    board = Scoreboard(2)
    row = board.row(0)
    row.activity = "GET /" + "\u00e9" * 200
    assert len(row.activity.encode()) <= DOING_BYTES + 2  # the last letter may have been halved
    assert board.row(1).pid == 0
    row.activity = "PUT /x"
    assert row.activity == "PUT /x"
    row.start_request(1, 2.5, b"GET /" + b"y" * 200)
    assert row.activity == "GET /" + "y" * (DOING_BYTES - 5)
    row.start_request(2, 3.5, b"PUT /x")
    assert (row.activity, row.requests, row.in_flight, row.busy_since) == ("PUT /x", 0, 2, 3.5)
    row.cells[REQUESTS] = 1
    assert (row.activity, row.requests, row.in_flight) == ("PUT /x", 1, 1)
    assert board.row(1).pid == 0


@pytest.mark.parametrize("index", [-1, 2])
def test_there_are_no_other_lines(index: int) -> None:
    with pytest.raises(IndexError):
        Scoreboard(2).row(index)
