"""kill -9 of any one process while the server is upgraded. The soaks have fifty runs of each."""

import random
from pathlib import Path

import pytest

from tests.end_to_end.soak.test_kills import once


@pytest.mark.parametrize("run", range(2))
@pytest.mark.parametrize("under_way", ["usr2-spawn", "usr2-exec", "takeover"])
def test_the_port_is_served_or_nothing_is_left(tmp_path: Path, under_way: str, run: int) -> None:
    once(tmp_path, under_way, random.Random(f"{under_way}/{run}"))
