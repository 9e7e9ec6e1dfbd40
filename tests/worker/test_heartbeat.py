"""A worker hangs if its deadline has passed at two checks, of which the second came in time."""

from math import inf

from pyfork.worker.offload.heartbeat import HeartbeatCheck


def test_two_checks() -> None:
    deadline = 0.0
    check = HeartbeatCheck(lambda: deadline)
    assert check.time_left(1.0) == inf
    deadline = 10.0
    assert check.time_left(9.0) == 1.0
    assert check.time_left(10.0) > 0.0
    assert check.time_left(10.3) == 0.0
    deadline = 11.0  # the application has asked for more
    assert check.time_left(10.4) > 0.5
    assert check.time_left(60.0) > 0.0  # the machine was suspended
    assert check.time_left(120.0) > 0.0
    assert check.time_left(120.31) == 0.0
