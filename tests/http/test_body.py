"""A body that waits to be whole costs about its bytes, whatever the pieces in which it comes."""

import io
import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from pyfork.http.wsgi.body import SMALL, BodyMemory, SpooledBody

ROOM = 512 * 1024
NONE = BodyMemory(0)


@pytest.mark.parametrize("size", [1, 2, 100, 2047, 5000, ROOM])
def test_pieces_cost_their_bytes(size: int) -> None:
    whole = bytes(range(256)) * (ROOM // 256)
    body = SpooledBody(BodyMemory(ROOM))
    tracemalloc.start()
    try:
        for at in range(0, len(whole), size):
            body.add(whole[at : at + size])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.3 * ROOM
    assert len(body) == ROOM
    assert body.open().read() == whole


def test_a_file_takes_what_is_more() -> None:
    body = SpooledBody(NONE)
    for _ in range(3 * SMALL // 1000):
        body.add(b"x" * 1000)
    with body.open() as file:
        assert isinstance(file.fileno(), int)
        assert file.read() == b"x" * (3 * SMALL // 1000 * 1000)


def test_its_file_has_no_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing can be planted at it, and nothing is left of a worker that is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    body = SpooledBody(NONE)
    body.add(bytes(SMALL + 1))
    with body.open() as file:
        assert os.fstat(file.fileno()).st_nlink == 0
    assert list(tmp_path.iterdir()) == []


def in_memory(body: SpooledBody) -> bool:
    """Whether it is; a file is closed."""
    file = body.open()
    if not isinstance(file, io.BytesIO):
        file.close()
    return isinstance(file, io.BytesIO)


def test_all_bodies_share_the_memory() -> None:
    """A body that finds no room is in a file; what one had is free when it ends."""
    memory = BodyMemory(ROOM)
    large, other, small = (SpooledBody(memory) for _ in range(3))
    large.add(bytes(ROOM))
    other.add(bytes(SMALL + 1))
    small.add(bytes(SMALL))
    assert [in_memory(body) for body in (large, other, small)] == [True, False, True]
    large.close()
    large.close()
    third = SpooledBody(memory)
    third.add(bytes(ROOM))
    assert in_memory(third)
    assert not memory.take(ROOM)


def test_what_was_reserved_for_a_request_without_a_turn_is_free() -> None:
    memory = BodyMemory(ROOM)
    SpooledBody(memory).add(bytes(ROOM))
    assert memory.take(ROOM)


def test_a_body_that_outgrows_the_memory_is_in_a_file() -> None:
    memory = BodyMemory(ROOM)
    body = SpooledBody(memory)
    whole = bytes(range(256)) * (4 * ROOM // 256)
    for at in range(0, len(whole), 50_000):
        body.add(whole[at : at + 50_000])
    with body.open() as file:
        assert not isinstance(file, io.BytesIO)
        assert file.read() == whole
    assert memory.take(ROOM)
