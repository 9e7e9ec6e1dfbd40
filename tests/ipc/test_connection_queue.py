"""The connection queue: what is put in comes out once, whole, whatever becomes of the writer."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pyfork.ipc.connection_queue import MAX_DATA, ConnectionQueue, Given


@pytest.fixture
def queue() -> Iterator[ConnectionQueue]:
    made = ConnectionQueue.make()
    yield made
    made.close()


@contextmanager
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def take(queue: ConnectionQueue) -> Given:
    given = queue.take()
    assert given is not None
    return given


@pytest.mark.parametrize("data", [b"", b"GET", bytes(MAX_DATA)], ids=len)
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("tls", [True, False])
def test_a_connection_comes_out_as_it_went_in(
    queue: ConnectionQueue, kept: bool, tls: bool, data: bytes
) -> None:
    with connection() as (ours, theirs):
        assert queue.put(theirs.fileno(), kept=kept, tls=tls, data=data)
        theirs.close()
        given = take(queue)
        assert (given.kept, given.tls, given.data) == (kept, tls, data)
        assert not os.get_inheritable(given.fd)
        with socket.socket(fileno=given.fd) as taken:
            taken.sendall(b"here")
        assert ours.recv(9) == b"here"
    assert queue.take() is None


def test_one_that_is_full_takes_no_more_and_loses_none(queue: ConnectionQueue) -> None:
    with connection() as (_, theirs):
        count = 0
        while queue.put(theirs.fileno(), kept=True, tls=False, data=bytes(MAX_DATA)):
            count += 1
        assert count > 0
        for _ in range(count):
            os.close(take(queue).fd)
        assert queue.take() is None


def test_it_outlives_the_process_that_put_something_there(queue: ConnectionQueue) -> None:
    with connection() as (_, theirs):
        pid = os.fork()
        if not pid:
            os._exit(not queue.put(theirs.fileno(), kept=True, tls=False))
        assert os.waitpid(pid, 0)[1] == 0
        os.close(take(queue).fd)


def test_without_files_nothing_is_taken_and_nothing_lost(queue: ConnectionQueue) -> None:
    with connection() as (_, theirs):
        assert queue.put(theirs.fileno(), kept=True, tls=False)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                queue.take()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(take(queue).fd)


def test_it_is_the_same_behind_an_exec(queue: ConnectionQueue) -> None:
    again = ConnectionQueue.from_fds([os.dup(fd) for fd in queue.fds()])
    with connection() as (_, theirs):
        assert queue.put(theirs.fileno(), kept=False, tls=True)
        os.close(take(again).fd)
    again.close()
