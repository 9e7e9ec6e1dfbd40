"""The channel on real sockets: frames, fds, backpressure, death."""

import os
import resource
import socket
import struct
from collections.abc import Iterator

import pytest

from pyfork.ipc import channel as channels
from pyfork.ipc.channel import Channel, ChannelClosed, Received, pair
from pyfork.ipc.messages import (
    Failed,
    Message,
    Recycle,
    ReopenLogs,
    StartDrain,
    WorkerReady,
    decode,
    encode,
)

MESSAGES: list[Message] = [
    WorkerReady("wsgi"),
    Failed("no module", "Traceback\n  \u00fc\n"),
    Recycle("max-requests"),
    StartDrain(1.5),
    ReopenLogs(),
]


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    left, right = pair()
    yield left, right
    left.close()
    right.close()


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_survive_the_wire(message: Message) -> None:
    assert decode(encode(message)) == message


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    for message in MESSAGES:
        left.send(message)
    assert right.receive() == [Received(message) for message in MESSAGES]
    assert right.receive() == []


def test_both_directions(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    right.send(WorkerReady("asgi"))
    left.send(StartDrain(0))
    assert [left.receive(), right.receive()] == [
        [Received(WorkerReady("asgi"))],
        [Received(StartDrain(0))],
    ]


def test_fds_come_with_their_message_and_close_on_exec(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    reader, writer = os.pipe()
    left.send(Recycle("none"))
    left.send(Recycle("one"), [writer])
    left.send(Recycle("none"))
    left.send(Recycle("two"), [reader, writer])
    os.close(reader)
    os.close(writer)
    received = right.receive()
    assert [len(each.fds) for each in received] == [0, 1, 0, 2]
    fds = [fd for each in received for fd in each.fds]
    assert not any(os.get_inheritable(fd) for fd in fds)
    os.write(fds[0], b"x")
    assert os.read(fds[1], 10) == b"x"
    for fd in fds:
        os.close(fd)


def test_what_does_not_fit_is_kept_with_its_fds(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    reader, writer = os.pipe()
    detail = "x" * 100_000
    for number in range(20):
        left.send(Failed(str(number), detail), [writer] if number % 3 == 0 else [])
    os.close(writer)
    assert left.pending
    received: list[Received] = []
    while len(received) < 20:
        received += right.receive()
        left.flush()
    assert not left.pending
    assert [each.message for each in received] == [Failed(str(n), detail) for n in range(20)]
    assert [len(each.fds) for each in received] == [n % 3 == 0 for n in range(20)]
    for each in received:
        for fd in each.fds:
            os.close(fd)
    assert os.read(reader, 1) == b"", "no copy of the writing end is left"
    os.close(reader)


def test_death_is_told_after_the_last_words(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    right.send(StartDrain(1))  # never read: the kernel then reports a reset
    left.send(Recycle("last words"))
    left.close()
    assert right.receive() == [Received(Recycle("last words"))]
    for _ in range(2):
        with pytest.raises(ChannelClosed, match="gone"):
            right.receive()


def test_writing_to_the_dead_is_no_error(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    right.close()
    left.send(StartDrain(1))
    assert not left.pending


def test_half_a_frame_of_a_dead_peer_is_dropped(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    socket.socket(fileno=os.dup(left.fileno())).close()  # a copy that closes changes nothing
    os.write(left.fileno(), struct.pack("!IH", 100, 0) + b"half")
    assert right.receive() == []
    left.close()
    with pytest.raises(ChannelClosed):
        right.receive()


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!IH", channels.MAX_BODY + 1, 0),
        struct.pack("!IH", 2, 0) + b"{}",
        struct.pack("!IH", 12, 0) + b'["Nobody",0]',
        struct.pack("!IH", 3, 0) + b"\xff\xff\xff",
    ],
)
def test_what_is_no_frame_ends_the_channel(ends: tuple[Channel, Channel], data: bytes) -> None:
    left, right = ends
    left.send(WorkerReady("wsgi"))
    os.write(left.fileno(), data)
    assert right.receive() == [Received(WorkerReady("wsgi"))]
    with pytest.raises(ChannelClosed, match=r"frame|message"):
        right.receive()


def test_frames_have_a_bound(ends: tuple[Channel, Channel]) -> None:
    with pytest.raises(ValueError, match="too large"):
        ends[0].send(Failed("x", "y" * channels.MAX_BODY))
    with pytest.raises(ValueError, match="too large"):
        ends[0].send(WorkerReady("wsgi"), [0] * (channels.MAX_FDS + 1))


def test_fds_that_nobody_claims_are_closed(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    reader, writer = os.pipe()
    body = encode(WorkerReady("wsgi"))
    end = socket.socket(fileno=os.dup(left.fileno()))
    socket.send_fds(end, [struct.pack("!IH", len(body), 0) + body], [writer])
    end.close()
    os.close(writer)
    assert right.receive() == [Received(WorkerReady("wsgi"))]
    right.close()
    assert os.read(reader, 1) == b"", "no copy of the writing end is left"
    os.close(reader)


def test_fds_that_wait_are_closed_with_their_channel(ends: tuple[Channel, Channel]) -> None:
    left, _ = ends
    reader, writer = os.pipe()
    while not left.pending:
        left.send(Failed("x", "y" * 100_000))
    left.send(WorkerReady("wsgi"), [writer])
    os.close(writer)
    left.close()
    assert os.read(reader, 1) == b"", "no copy of the writing end is left"
    os.close(reader)


def test_fds_that_find_no_room_are_lost_without_harm_to_the_next(
    ends: tuple[Channel, Channel],
) -> None:
    left, right = ends
    reader, writer = os.pipe()
    left.send(Recycle("two"), [writer, writer])
    left.send(Recycle("one"), [reader])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(reader)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, hard))  # room for one more
    try:
        received = right.receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [each.message for each in received] == [Recycle("two"), Recycle("one")]
    assert [len(each.fds) for each in received] == [0, 1]
    os.close(writer)
    assert os.read(received[1].fds[0], 1) == b"", "no copy of the writing end is left"
    os.close(received[1].fds[0])
    os.close(reader)


def test_fds_that_cannot_be_kept_are_refused(ends: tuple[Channel, Channel]) -> None:
    reader, writer = os.pipe()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(reader)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            ends[0].send(Recycle("two"), [writer, writer])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    os.close(writer)
    assert os.read(reader, 1) == b"", "no copy of the writing end is left"
    os.close(reader)
