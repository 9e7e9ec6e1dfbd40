"""Django and Flask, as they are, on workers of one thread and of many, on both loops."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.server import Server, environment

KINDS = {
    "uvloop": ("--loop", "uvloop"),
    "asyncio": ("--loop", "asyncio"),
    "thread": ("--threads", "4"),
}
ROWS = b"".join(b"row %d\n" % number for number in range(60))
CONTENT = bytes(range(256)) * 1000


def serve(project: str, kind: str, factory: pytest.TempPathFactory) -> Iterator[tuple[str, Server]]:
    directory: Path = factory.mktemp(kind)
    env = {"PROJECT": str(directory), "DJANGO_ALLOW_ASYNC_UNSAFE": ""}
    command = [sys.executable, "-m", f"tests.wsgi.{project}"]
    subprocess.run(command, env=environment() | env, check=True, timeout=60)
    app = f"tests.wsgi.{project}"
    with Server(app, *KINDS[kind], directory=directory, env=env) as server:
        yield kind, server
        assert "Traceback" not in server.log


@pytest.fixture(scope="module", params=KINDS)
def django(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Server]]:
    yield from serve("django_project", request.param, tmp_path_factory)


@pytest.fixture(scope="module", params=KINDS)
def flask(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Server]]:
    yield from serve("flask_project", request.param, tmp_path_factory)


def test_the_orm_of_django(django: tuple[str, Server]) -> None:
    """Not SynchronousOnlyOperation, which a running event loop makes of every query."""
    _, server = django
    for path in ("/count", "/count-async", "/count"):
        assert server.get(path).body == b"60"


def test_exports_of_django_do_not_mix(django: tuple[str, Server]) -> None:
    """Streams with requests beside them; no connection of the database is left (CONN_MAX_AGE 0)."""
    kind, server = django
    paths = ["/export", "/count"] * 6
    with ThreadPoolExecutor(len(paths)) as pool:
        found = list(pool.map(lambda path: server.get(path).body, paths))
    assert found == [ROWS, b"60"] * 6
    opened, *signals = server.get("/opened").body.decode().split("\n")
    assert opened == "0"
    # Of each request both, in one thread; and on one thread, one after the other.
    assert signals.pop().startswith("started")
    threads = {line.partition(" ")[2] for line in signals}
    for thread in threads:
        names = [line.partition(" ")[0] for line in signals if line.endswith(f" {thread}")]
        assert names[: len(names) // 2 * 2] == ["started", "finished"] * (len(names) // 2)
    assert len(threads) == 1 or kind == "thread"


@pytest.mark.parametrize("path", ["/generated", "/on-disk", "/static/file.bin"])
def test_files_of_django(django: tuple[str, Server], path: str) -> None:
    """Django#FileResponse and WhiteNoise."""
    _, server = django
    answer = server.get(path)
    assert (answer.status, answer.body) == (200, CONTENT)


@pytest.mark.parametrize("part", [(0, 1), (100, 199), (1000, 200_000)])
def test_ranges_of_whitenoise(django: tuple[str, Server], part: tuple[int, int]) -> None:
    _, server = django
    answer = server.get("/static/file.bin", Range=f"bytes={part[0]}-{part[1]}")
    assert (answer.status, answer.body) == (206, CONTENT[part[0] : part[1] + 1])


def test_exports_of_sqlalchemy_do_not_mix(flask: tuple[str, Server]) -> None:
    """A session for each thread, which is closed with its request."""
    _, server = flask
    paths = ["/export", "/count"] * 10
    with ThreadPoolExecutor(len(paths)) as pool:
        found = list(pool.map(lambda path: server.get(path).body, paths))
    assert found == [ROWS, b"60"] * 10


def test_async_views_of_flask(flask: tuple[str, Server]) -> None:
    _, server = flask
    assert [server.get("/async").body for _ in range(3)] == [b"async"] * 3


@pytest.mark.parametrize("path", ["/pdf", "/disk", "/member"])
def test_files_of_flask(flask: tuple[str, Server], path: str) -> None:
    _, server = flask
    answer = server.get(path)
    assert (answer.status, answer.body) == (200, CONTENT)


@pytest.mark.parametrize("path", ["/pdf", "/disk"])
@pytest.mark.parametrize("part", [(0, 0), (100, 199), (1000, 200_000)])
def test_ranges_of_flask(flask: tuple[str, Server], path: str, part: tuple[int, int]) -> None:
    _, server = flask
    answer = server.get(path, Range=f"bytes={part[0]}-{part[1]}")
    assert (answer.status, answer.body) == (206, CONTENT[part[0] : part[1] + 1])
