"""Clients that flood a worker with tiny WebSocket frames leave each other, and others, a turn."""

import asyncio
import threading
import time
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from pyfork.http.websocket.turns import FRAMES, FrameTurns
from tests.server import Server
from tests.serving.frames import CONT, PING, TEXT, FrameWire, frame

FLOODS = {
    "pings": frame(PING) * 10_000,
    "fragments": frame(TEXT, fin=False) + frame(CONT, fin=False) * 10_000,
    "messages": frame(TEXT) * 10_000,
}


def test_a_turn_is_bounded_over_all_connections() -> None:
    """30 connections with 1,000 frames each: no turn of the loop reads more than its share."""
    read: list[int] = []  # which connection, frame by frame
    turns: list[int] = []  # frames so far, at each turn of the loop

    async def run() -> None:
        frame_turns = FrameTurns(asyncio.get_running_loop())
        left = dict.fromkeys(range(30), 1000)

        def take_turn(which: int) -> None:
            while left[which] and not frame_turns.is_over:
                left[which] -= 1
                read.append(which)
                frame_turns.spend(1)
            if left[which]:
                frame_turns.wait(lambda: take_turn(which))

        for which in left:
            take_turn(which)
        turns.append(len(read))
        while any(left.values()):
            await asyncio.sleep(0)
            turns.append(len(read))

    asyncio.run(run())
    assert len(read) == 30_000
    assert max(after - before for before, after in pairwise(turns)) <= FRAMES
    assert set(read[: 31 * FRAMES]) == set(range(30))  # first come, first served


@pytest.mark.parametrize("flood", FLOODS)
def test_ten_floods_hold_nobody_up(tmp_path: Path, flood: str) -> None:
    """Half of the answers come in 50 ms; ten connections with turns of their own took 100 ms."""
    with (
        Server("tests.apps.websocket_kinds:app", directory=tmp_path) as server,
        ExitStack() as stack,
    ):
        for _ in range(10):
            wire = stack.enter_context(FrameWire(server.port))
            wire.open("/echo")
            thread = threading.Thread(target=send_on, args=(wire, FLOODS[flood]))
            thread.start()
            stack.callback(thread.join)
            stack.callback(wire.socket.shutdown, 2)
        waits = []
        for _ in range(30):
            began = time.monotonic()
            assert server.get("/notes").status == 200
            waits.append(time.monotonic() - began)
        assert sorted(waits)[15] < 0.05


def send_on(wire: FrameWire, data: bytes) -> None:
    """Until the connection is shut down."""
    with suppress(OSError):
        while True:
            wire.send(data)
