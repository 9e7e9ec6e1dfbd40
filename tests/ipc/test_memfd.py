"""Anonymous files: without a name, so that no other user can replace them."""

import os
import tempfile
from pathlib import Path

import pytest

from pyfork.system.memfd import anonymous_file


@pytest.mark.parametrize("memory", [True, False])
def test_it_has_no_name(memory: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    with anonymous_file("pyfork-test") as file:
        file.write(b"state")
        assert list(tmp_path.iterdir()) == []
        assert os.fstat(file.fileno()).st_nlink == 0
