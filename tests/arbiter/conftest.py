"""Arbiters in processes of their own, which end with each test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.arbiter.fake_worker_server import FakeWorkerServer

Start = Callable[..., FakeWorkerServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an arbiter: ``start(*arguments, **settings)``."""
    with ExitStack() as stack:
        count = 0

        def start_one(*arguments: str, **settings: Any) -> FakeWorkerServer:
            nonlocal count
            directory = tmp_path / f"server{count}"
            directory.mkdir()
            count += 1
            return stack.enter_context(FakeWorkerServer(directory, *arguments, **settings))

        yield start_one
