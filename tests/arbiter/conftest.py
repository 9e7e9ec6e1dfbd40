"""Arbiters in processes of their own, ended and looked after at the end of each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.arbiter.server import Server

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an arbiter: ``start(*arguments, **settings)``."""
    servers: list[Server] = []

    def start_one(*arguments: str, **settings: Any) -> Server:
        directory = tmp_path / f"server{len(servers)}"
        directory.mkdir()
        servers.append(Server(directory, *arguments, **settings))
        return servers[-1]

    yield start_one
    for server in servers:
        server.clean_up()
