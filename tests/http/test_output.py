"""Unsent output: in memory, then in a file, each up to its limit."""

import os
import random
import tempfile
from pathlib import Path

import pytest

from pyfork.http.wsgi.output import SHARES, SLAB, BufferSpace, Unsent


def drained(unsent: Unsent, count: int) -> bytes:
    """The first ``count`` bytes, taken in parts."""
    found = b""
    while len(found) < count:
        piece = unsent.peek()[: count - len(found)]
        assert piece
        unsent.drop(len(piece))
        found += piece
    return found


def test_bytes_come_out_in_order() -> None:
    """Whatever is kept and dropped in between; and at the end all room is free again."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    room = BufferSpace(each=1000, spool=5000)
    unsent = Unsent(room)
    sent = kept = b""
    for _ in range(2000):
        if chance.random() < 0.5:
            data = os.urandom(chance.choice((1, 10, 100, 3000)))
            count = unsent.keep(data)
            assert count == len(data) or not room.spool
            kept += data[:count]
        else:
            sent += drained(unsent, chance.randint(0, len(unsent)))
        assert len(unsent) == len(kept) - len(sent)
        assert len(unsent) <= 6000
    sent += drained(unsent, len(unsent))
    assert sent == kept
    assert (room.memory, room.spool) == (1000 * SHARES, 5000)


def test_limits_are_a_workers() -> None:
    room = BufferSpace(each=100, spool=50)
    outputs = [Unsent(room) for _ in range(SHARES + 1)]
    assert [each.keep(bytes(100)) for each in outputs] == [100] * SHARES + [50]
    assert outputs[0].keep(b"x") == 0
    outputs[-1].clear()
    assert outputs[0].keep(bytes(60)) == 50
    assert len(outputs[0]) == 150
    outputs[0].clear()
    assert room.spool == 50


def test_memory_is_used_again_when_the_file_is_read() -> None:
    room = BufferSpace(each=10, spool=SLAB * 3)
    unsent = Unsent(room)
    data = os.urandom(SLAB * 2)
    assert unsent.keep(data) == len(data)
    assert drained(unsent, len(data)) == data
    assert room.spool == SLAB * 3
    assert unsent.keep(b"again") == 5
    assert room.memory == 10 * SHARES - 5


def test_a_file_that_cannot_be_written_is_no_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    room = BufferSpace(each=10, spool=100)
    assert Unsent(room).keep(bytes(50)) == 10
    assert room.spool == 100
    assert "no room for unsent output" in caplog.text


def test_its_file_has_no_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing can be planted at it, and nothing is left of a worker that is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    unsent = Unsent(BufferSpace(each=10, spool=100))
    assert unsent.keep(bytes(50)) == 50
    assert list(tmp_path.iterdir()) == []
    unsent.clear()
