"""Pieces in quick succession leave together, in order, and within bounds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from pyfork.http.asgi import burst
from pyfork.http.asgi.burst import AT_ONCE, HELD, Burst


class Writes:
    """What a burst asks of its connection: notes what is written."""

    def __init__(self) -> None:
        self.engine = self
        self.loop = asyncio.get_running_loop()
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


def of_loop(case: Callable[[Writes, Burst], Awaitable[None]], monkeypatch: Any) -> None:
    async def run() -> None:
        writes = Writes()
        await case(writes, Burst(cast(Any, writes)))

    monkeypatch.setattr(burst, "QUICK", 5.0)  # however slow the machine is
    asyncio.run(run())


def test_the_first_leave_at_once_and_the_rest_with_the_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def case(writes: Writes, sent: Burst) -> None:
        pieces = [b"%d" % number for number in range(AT_ONCE + 3)]
        for piece in pieces:
            sent.write(piece)
        assert writes.written == pieces[:AT_ONCE]
        assert len(sent) == 3
        await asyncio.sleep(0)
        assert writes.written == [*pieces[:AT_ONCE], b"".join(pieces[AT_ONCE:])]
        assert len(sent) == 0

    of_loop(case, monkeypatch)


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(writes: Writes, sent: Burst) -> None:
        for _ in range(AT_ONCE):
            sent.write(b"-")
        for number in range(1000):
            sent.write(b"%01000d" % number)
            assert len(sent) < HELD
        sent.hold(b"end")
        sent.flush()
        assert b"".join(writes.written) == (
            b"-" * AT_ONCE + b"".join([b"%01000d" % number for number in range(1000)]) + b"end"
        )
        assert max(map(len, writes.written)) < HELD + 1000

    of_loop(case, monkeypatch)


def test_a_slow_application_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that works between two pieces, and gives the loop no turn."""

    async def case(writes: Writes, sent: Burst) -> None:
        monkeypatch.setattr(burst, "QUICK", 0.0)
        for number in range(3 * AT_ONCE):
            sent.write(b"%d" % number)
            assert len(writes.written) == number + 1

    of_loop(case, monkeypatch)


def test_a_pause_ends_a_burst_and_sends_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(writes: Writes, sent: Burst) -> None:
        for _ in range(AT_ONCE + 1):
            sent.write(b"a")
        monkeypatch.setattr(burst, "QUICK", 0.0)
        sent.write(b"b")
        assert writes.written == [*[b"a"] * AT_ONCE, b"ab"]

    of_loop(case, monkeypatch)
