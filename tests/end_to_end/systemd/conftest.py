"""The manager of a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.systemd.unit import Manager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()
