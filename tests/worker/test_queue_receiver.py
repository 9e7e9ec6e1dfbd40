"""The receiver of the connection queue, at the end of its worker."""

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from pyfork.ipc.connection_queue import ConnectionQueue, Given
from pyfork.ipc.scoreboard import RECEIVING, Receiving, Scoreboard
from pyfork.worker.offload.receiver import QueueReceiver


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.mark.parametrize("others", [True, False])
def test_a_draining_worker_leaves_the_queue_to_those_that_take(
    loop: asyncio.AbstractEventLoop, others: bool
) -> None:
    """It took all that was handed off meanwhile, after each of its requests, to its last second."""
    board, queue, taken = Scoreboard(2), ConnectionQueue.make(), list[Given]()
    rows = [board.row(index) for index in range(2)]
    board.mark_used(1)
    receiver = QueueReceiver(
        loop,
        queue,
        scoreboard=board,
        row=rows[0],
        tls=False,
        begin=taken.append,
        is_full=lambda: False,
        gate=None,
    )
    receiver.start()
    rows[1].cells[RECEIVING] = Receiving.PLAIN if others else Receiving.NOTHING
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for step in (receiver.stop, receiver.settle):
            assert queue.put(ours.fileno(), kept=True, tls=False)
            step()
    assert len(taken) == (0 if others else 2)
    for given in taken:
        os.close(given.fd)
    queue.close()
