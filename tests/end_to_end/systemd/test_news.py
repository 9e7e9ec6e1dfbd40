"""What there is to tell, as histories: a row of situations, and the messages that lead through."""

import pytest

from pyfork.arbiter.generations import ReloadResult
from pyfork.arbiter.reporting.systemd_notify import ServicePhase, ServiceStatus, notifications

B, S, R, T, Y = (
    ServicePhase.BOOTING,
    ServicePhase.SERVING,
    ServicePhase.RELOADING,
    ServicePhase.STOPPING,
    ServicePhase.HANDED_OVER,
)


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        ([B, S, T], ["STATUS", "READY", "STOPPING"]),
        ([B, T], ["STATUS", "STOPPING"]),
        ([S, R, S], ["READY", "RELOADING", "READY"]),
        ([B, R, S], ["STATUS", "READY", "RELOADING", "READY"]),
        ([R, R, S], ["READY", "RELOADING", "READY"]),
        ([S, Y, Y], ["READY", "MAINPID"]),
        ([S, Y, S], ["READY", "MAINPID", "READY"]),
        ([S, Y, R, T], ["READY", "MAINPID", "READY", "RELOADING", "STOPPING"]),
    ],
)
def test_histories(phases: list[ServicePhase], told: list[str]) -> None:
    heard, before = [], None
    for phase in phases:
        after = ServiceStatus(phase, "fine", 7, stop_limit=35.0)
        heard += [text.partition("=")[0] for text in notifications(before, after, 12.5)]
        before = after
    assert heard == told


def test_a_reload_that_takes_less_than_a_turn() -> None:
    before = ServiceStatus(S, "fine", 7)
    after = ServiceStatus(S, "failed", 7, last_reload=ReloadResult(None, 12.0, "no"))
    assert notifications(before, after, 12.5) == [
        "RELOADING=1\nMONOTONIC_USEC=12500000\nSTATUS=failed",
        "READY=1\nMAINPID=7\nSTATUS=failed",
    ]
    assert notifications(after, after, 13.0) == []


@pytest.mark.parametrize("phase", [B, S, R, T])
def test_a_new_status_alone(phase: ServicePhase) -> None:
    assert notifications(ServiceStatus(phase, "a", 7), ServiceStatus(phase, "b", 7), 1.0) == [
        "STATUS=b"
    ]


def test_a_stop_asks_for_the_time_that_it_may_take() -> None:
    told = notifications(ServiceStatus(S, "a", 7), ServiceStatus(T, "b", 7, stop_limit=35.5), 1.0)
    assert told == ["STOPPING=1\nEXTEND_TIMEOUT_USEC=35500000\nSTATUS=b"]


def test_a_successor_that_is_no_child_speaks_for_itself() -> None:
    assert notifications(ServiceStatus(S, "a", 7), ServiceStatus(Y, "b", None), 1.0) == []
