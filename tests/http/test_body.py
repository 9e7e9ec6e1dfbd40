"""A body that waits to be whole costs about its bytes, whatever the pieces in which it comes."""

import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from pyfork.http.wsgi.body import SPOOL, SpooledBody


@pytest.mark.parametrize("size", [1, 2, 100, 2047, 5000, SPOOL])
def test_pieces_cost_their_bytes(size: int) -> None:
    whole = bytes(range(256)) * (SPOOL // 256)
    body = SpooledBody()
    tracemalloc.start()
    try:
        for at in range(0, len(whole), size):
            body.add(whole[at : at + size])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.3 * SPOOL
    assert len(body) == SPOOL
    assert body.open().read() == whole


def test_a_file_takes_what_is_more() -> None:
    body = SpooledBody()
    for _ in range(3 * SPOOL // 1000):
        body.add(b"x" * 1000)
    with body.open() as file:
        assert file.read() == b"x" * (3 * SPOOL // 1000 * 1000)


def test_its_file_has_no_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing can be planted at it, and nothing is left of a worker that is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    body = SpooledBody()
    body.add(bytes(SPOOL + 1))
    with body.open() as file:
        assert os.fstat(file.fileno()).st_nlink == 0
    assert list(tmp_path.iterdir()) == []
