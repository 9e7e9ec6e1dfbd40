"""What all WebSocket connections of a worker share: the frames of a turn, and memory."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pyfork.config.command_line.arguments import parse
from pyfork.config.load import load
from pyfork.http.asgi.gateway import AsgiGateway
from pyfork.http.asgi.scope import Scope
from pyfork.http.connection.connection import Connection
from pyfork.http.connection.engine import Engine
from pyfork.http.connection.loop_turns import LoopTurns
from pyfork.http.websocket.gateway import FRAMES, HANDSHAKE, WebSockets
from pyfork.http.websocket.partial import PartialMessages
from pyfork.ipc.scoreboard import Scoreboard
from tests.end_to_end.serving.frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    TEXT,
    FrameWire,
    frame,
    handshake,
)
from tests.fuzz.pipe import Pipe
from tests.harness.server import PATIENCE, Server

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
        frame_turns = LoopTurns(asyncio.get_running_loop(), FRAMES)
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


def test_handshakes_of_a_turn_are_bounded() -> None:
    """200 handshakes in one turn of the loop are answered in many, and each is answered."""
    answered: list[int] = []  # so far, at each turn

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        gateway = AsgiGateway(app, loop=loop, root_path="", state={})
        board = Scoreboard(1)
        board.mark_used(0)
        config = load(parse(["app:app"]), {}, Path()).config
        engine: Engine[Connection] = Engine(config, loop=loop, row=board.row(0), gateway=gateway)
        engine.upgrade = WebSockets(gateway, engine.count, memory=0).take
        pipes = [Pipe(loop, Connection(engine)) for _ in range(200)]
        for pipe in pipes:
            pipe.receive(handshake("/echo"))
        pipes[-1].reset()  # before its turn
        while not answered or answered[-1] < 199:
            await asyncio.sleep(0)
            for pipe in pipes:
                pipe.take(1000)
            answered.append(sum(pipe.sent.startswith(b"HTTP/1.1 101 ") for pipe in pipes))
        for pipe in pipes:
            pipe.reset()
        await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), PATIENCE))
    assert max(after - before for before, after in pairwise(answered)) <= FRAMES / HANDSHAKE + 1


@pytest.mark.parametrize("flood", FLOODS)
def test_ten_floods_hold_nobody_up(tmp_path: Path, flood: str) -> None:
    """A busy machine makes answers late, but not a quarter of them; with a turn for each connection
    all took 100 ms."""
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
        assert sorted(waits)[7] < 0.05


def send_on(wire: FrameWire, data: bytes) -> None:
    """Until the connection is shut down."""
    with suppress(OSError):
        while True:
            wire.send(data)


def test_the_message_that_began_first_gives_way() -> None:
    partial = PartialMessages(100)
    gone: list[str] = []
    first, second, third = (partial_of(name, gone) for name in ("first", "second", "third"))
    partial.hold(first, 500)  # alone, it may
    assert not gone
    partial.hold(second, 10)
    assert gone == ["first"]
    partial.hold(second, 60)
    partial.hold(third, 40)
    partial.release(second)
    partial.hold(second, 60)  # the next message of the same connection is younger
    assert gone == ["first"]
    partial.hold(second, 61)
    assert gone == ["first", "third"]
    partial.release(first)  # its connection ends
    partial.hold(third, 39)
    assert gone == ["first", "third"]


def partial_of(name: str, gone: list[str]) -> Callable[[], None]:
    """A connection's `_give_way`."""
    return lambda: gone.append(name)


def test_half_messages_share_their_memory(tmp_path: Path) -> None:
    """Halves of 1 MiB of 400 clients; the last one can complete its message."""
    whole = frame(BINARY, bytes(1 << 20))
    with (
        Server("tests.apps.websocket_kinds:app", "-k", "asgi", directory=tmp_path) as server,
        ExitStack() as stack,
    ):
        (worker,) = server.workers()
        wires = [stack.enter_context(FrameWire(server.port)) for _ in range(400)]
        for wire in wires:
            wire.open("/echo")
        rest = worker.memory_info().rss
        for wire in wires:
            wire.send(whole[: 1 << 19])
        closed = wires[0].read_frame()
        assert (closed.opcode, closed.code) == (CLOSE, 1013)
        wires[-1].send(whole[1 << 19 :])
        assert len(wires[-1].read_frame().data) == 1 << 20
        assert worker.memory_info().rss - rest < 64 << 20
        assert server.log.count("--ws-memory (24 MiB)") == 1
