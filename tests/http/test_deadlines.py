"""Deadlines against rates, in an hour of a simulated clock: no byte, a byte, and bytes enough."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pyfork.config.command_line.arguments import parse
from pyfork.config.load import load
from pyfork.http.connection.timeouts.deadlines import LINGER, Timeouts, Wait
from pyfork.http.connection.timeouts.phase import ConnectionPhase

HOUR = 3600
FRESH, IDLE, HEAD, BODY = (
    ConnectionPhase.FRESH,
    ConnectionPhase.IDLE,
    ConnectionPhase.HEAD,
    ConnectionPhase.BODY,
)
APP, STREAM, WRITE = ConnectionPhase.APP, ConnectionPhase.STREAM, ConnectionPhase.WRITE

# By second: the phase, the number of the request, and the bytes that have moved.
History = Callable[[int], tuple[ConnectionPhase, int, int]]


def limits(*options: str) -> Timeouts:
    return Timeouts.from_config(load(parse([*options, "app:app"]), {}, Path()).config)


def ends(history: History, *options: str, every: float = 1.0) -> float | None:
    """The second in which a connection with such a ``history`` is late; None in an hour."""
    given, wait = limits(*options), Wait()
    for step in range(int(HOUR / every)):
        now = step * every
        phase, serial, moved = history(int(now))
        age = wait.age(phase, serial, moved, 1000 + now, progress=given.progress[phase])
        if age >= given.seconds[phase]:
            return now
    return None


def trickle(phase: ConnectionPhase, rate: float, serial: int = 1) -> History:
    """So many bytes a second."""
    return lambda now: (phase, serial, int(now * rate))


# A byte each 10 seconds.


@pytest.mark.parametrize(
    ("phase", "after"), [(HEAD, 30), (BODY, 30), (WRITE, 60), (FRESH, 30), (IDLE, 65)]
)
def test_a_byte_each_10_seconds_is_late(phase: ConnectionPhase, after: int) -> None:
    moved = 0 if phase in (HEAD, FRESH, IDLE) else 0.1  # nothing is counted of a head
    assert ends(trickle(phase, moved)) == after


def test_a_pause_has_the_same_time_without_a_rate() -> None:
    for phase, option, after in ((BODY, "--body-min-rate", 30), (WRITE, "--write-min-rate", 60)):
        assert ends(trickle(phase, 0.1), option, "0") is None
        assert ends(trickle(phase, 0), option, "0") == after


# Just fast enough, and just not.


@pytest.mark.parametrize(("phase", "rate"), [(BODY, 500), (WRITE, 240)])
def test_the_minimum_rate(phase: ConnectionPhase, rate: int) -> None:
    assert ends(trickle(phase, rate)) is None
    assert ends(trickle(phase, rate - 10)) is not None


@pytest.mark.parametrize(("phase", "rate", "time"), [(BODY, 500, 30), (WRITE, 240, 60)])
def test_bytes_may_come_in_gusts(phase: ConnectionPhase, rate: int, time: int) -> None:
    def gusts(now: int) -> tuple[ConnectionPhase, int, int]:
        return phase, 1, now // (time - 1) * rate * time

    assert ends(gusts) is None
    last = 100 // (time - 1) * (time - 1)
    assert ends(lambda now: gusts(min(now, 100))) == last + time


def test_rates_are_settings() -> None:
    assert ends(trickle(BODY, 50), "--body-min-rate", "40") is None
    assert ends(trickle(WRITE, 900), "--write-min-rate", "1000") == 60


# What is no progress.


def test_empty_lines_do_not_prolong_a_head() -> None:
    """A CR in one second and its LF in the next: a head begins, and has not begun."""
    assert ends(lambda now: ((HEAD, IDLE)[now % 2], 1, 0)) == 30
    assert ends(lambda now: ((FRESH, HEAD)[now % 2], 0, 0)) == 31


def test_requests_do_not_prolong_a_response_that_nobody_reads() -> None:
    assert ends(lambda now: (WRITE, now, 0)) == 60


def test_a_buffer_that_grows_is_no_progress() -> None:
    """What was counted of the responses may grow less than the buffer, by framing."""
    assert ends(lambda now: (WRITE, 1, -7 * now)) == 60


def test_what_was_taken_before_counts_no_more() -> None:
    """A megabyte at once, and then nothing."""
    assert ends(lambda now: (WRITE, 1, min(now, 1) << 20)) == 61


def test_requests_that_wait_do_not_prolong_the_one_that_runs() -> None:
    assert ends(lambda now: (APP, 1, 0)) is None
    assert ends(lambda now: (APP, 1, 0), "--request-timeout", "30") == 30
    assert ends(lambda now: (STREAM, 1, 0)) is None


# What is.


def test_each_request_has_its_own_time() -> None:
    assert ends(lambda now: (HEAD, now // 29, 0)) is None
    assert ends(lambda now: (IDLE, now // 64, 0)) is None
    assert ends(lambda now: (BODY, now // 29, 0)) is None


def test_an_application_that_takes_its_time_over_a_body_gets_on() -> None:
    assert ends(lambda now: (APP, 1, now // 20)) is None


def test_time_with_the_application_is_not_the_clients() -> None:
    """It stops reading for longer than a body may pause, and the client is not blamed."""
    assert ends(lambda now: ((BODY, STREAM)[now // 20 % 2], 1, now // 40)) is None


def test_no_limit() -> None:
    for phase, option in ((HEAD, "header"), (BODY, "body"), (WRITE, "write")):
        assert ends(trickle(phase, 0), f"--{option}-timeout", "0") is None
    assert limits().seconds[ConnectionPhase.LINGER] == LINGER
