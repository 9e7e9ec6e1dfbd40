"""Sessions in a worker's memory: three servers behind the examples."""

import asyncio
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.proxies.reverse_proxies import front
from tests.harness.server import PATIENCE, Server

pytestmark = pytest.mark.soak

CLIENTS = 12
CALLS = 10

PID = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@contextmanager
def sticky(kind: str, app: str, directory: Path) -> Iterator[str]:
    """The URL of a proxy before three servers."""
    with ExitStack() as stack:
        addresses = []
        for number in range(3):
            own = directory / str(number)
            own.mkdir()
            server = stack.enter_context(Server(app, "--pythonpath", str(directory), directory=own))
            addresses.append(f"127.0.0.1:{server.port}")
        yield stack.enter_context(front(kind, ",".join(addresses), directory)).url


def test_each_mcp_session_keeps_its_worker(tmp_path: Path) -> None:
    mcp = pytest.importorskip("mcp")

    async def use(url: str) -> set[str]:
        """Which processes answer one client. Raises if they do not know its session."""
        async with mcp.Client(f"{url}/mcp", mode="legacy") as client:
            answers = [await client.call_tool("where", {}) for _ in range(CALLS)]
        return {answer.content[0].text for answer in answers}

    async def use_all(url: str) -> list[set[str]]:
        return await asyncio.gather(*(use(url) for _ in range(CLIENTS)))

    with sticky("haproxy sticky", "tests.end_to_end.realworld.apps.sessions:app", tmp_path) as url:
        workers = asyncio.run(use_all(url))
    assert all(len(each) == 1 for each in workers), workers
    assert len(set().union(*workers)) == 3, "all of them are used"


@pytest.mark.parametrize("kind", ["haproxy sticky", "nginx sticky"])
def test_each_client_with_cookies_keeps_its_worker(kind: str, tmp_path: Path) -> None:
    (tmp_path / "pid.py").write_text(PID)
    seen = set()
    with sticky(kind, "pid:app", tmp_path) as url:
        for _ in range(CLIENTS):
            keeper = urllib.request.HTTPCookieProcessor()
            client = urllib.request.build_opener(keeper)
            answers = {client.open(url, timeout=PATIENCE).read() for _ in range(CALLS)}
            assert len(answers) == 1
            seen |= answers
    assert len(seen) == 3, "all of them are used"
