"""The scoreboard, seen from two processes."""

import os

import pytest

from pyfork.ipc.scoreboard import DEADLINE, DOING_BYTES, REQUESTS, RowState, Scoreboard


def test_what_a_child_writes_its_parent_reads() -> None:
    board = Scoreboard(3)
    pid = os.fork()
    if pid == 0:
        line = board.line(1)
        line.pid, line.slot, line.generation, line.state = 4711, 2, 5, RowState.SERVING
        line.requests += 7
        line.connections, line.in_flight, line.busy_since, line.deadline = 3, 1, 1.25, 2.5
        line.activity = "GET /caf\u00e9"
        os._exit(0)
    os.waitpid(pid, 0)
    line = board.line(1)
    assert (line.pid, line.slot, line.generation) == (4711, 2, 5)
    assert line.state is RowState.SERVING
    assert (line.connections, line.in_flight, line.requests) == (3, 1, 7)
    assert (line.busy_since, line.deadline) == (1.25, 2.5)
    assert line.times[DEADLINE] == 2.5
    assert line.activity == "GET /caf\u00e9"
    for other in (board.line(0), board.line(2)):
        assert not any(other.cells)
        assert other.activity == ""


def test_clear_frees_a_line() -> None:
    line = Scoreboard(1).line(0)
    line.requests, line.deadline, line.activity, line.state = 1, 2.5, "GET /", RowState.DRAINING
    line.clear()
    assert not any(line.cells)
    assert line.activity == ""
    assert line.state is RowState.FREE


def test_text_is_cut_to_its_place_and_replaced_whole() -> None:
    board = Scoreboard(2)
    line = board.line(0)
    line.activity = "GET /" + "\u00e9" * 200
    assert len(line.activity.encode()) <= DOING_BYTES + 2  # the last letter may have been halved
    assert board.line(1).pid == 0
    line.activity = "PUT /x"
    assert line.activity == "PUT /x"
    line.start_request(1, 2.5, b"GET /" + b"y" * 200)
    assert line.activity == "GET /" + "y" * (DOING_BYTES - 5)
    line.start_request(2, 3.5, b"PUT /x")
    assert (line.activity, line.requests, line.in_flight, line.busy_since) == ("PUT /x", 0, 2, 3.5)
    line.cells[REQUESTS] = 1
    assert (line.activity, line.requests, line.in_flight) == ("PUT /x", 1, 1)
    assert board.line(1).pid == 0


@pytest.mark.parametrize("index", [-1, 2])
def test_there_are_no_other_lines(index: int) -> None:
    with pytest.raises(IndexError):
        Scoreboard(2).line(index)
