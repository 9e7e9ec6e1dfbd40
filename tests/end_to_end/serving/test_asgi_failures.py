"""Whatever an ASGI application raises is its failure: it is answered, logged once and survived."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.apps.failing import KINDS
from tests.harness.client import Truncated, Wire, request
from tests.harness.server import PATIENCE, ROOT, Server, environment

APP = "tests.apps.failing:app"


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """When all is over, nothing is in flight, its one worker lives, and it stops at once."""
    directory: Path = tmp_path_factory.mktemp(request.param)
    control = ("--control", str(directory / "control"))
    with Server(APP, *control, "--loop", request.param, directory=directory) as server:
        (worker,) = server.workers()
        yield server
        assert server.workers() == [worker]
        server.until(lambda: _status(server)["workers"][0]["in_flight"] == 0, "it is counted")
        began = monotonic()
    assert monotonic() - began < 5


def _status(server: Server) -> Any:
    command = (sys.executable, "-m", "pyfork", "status", "--json", server.directory / "control")
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, timeout=PATIENCE
    )
    return json.loads(done.stdout)


def tracebacks(server: Server) -> int:
    """How many accounts of an error the log has."""
    return server.log.count("[ERROR]") + server.log.count("exception was never retrieved")


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("when", ["before", "soon", "between", "child"])
def test_before_the_head(server: Server, kind: str, when: str) -> None:
    before = tracebacks(server)
    with Wire(server.port) as wire:
        answer = wire.get(f"/{kind}/{when}")
        assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
        assert "x-secret" not in answer.headers
    server.wait_log(f"error in the application at GET /{kind}/{when}")
    entry = server.log.rpartition(f"error in the application at GET /{kind}/{when}\n")[2]
    assert entry.lstrip().startswith(("Traceback", "+ Exception Group Traceback"))
    assert "on purpose" in entry
    assert "in fail\n" in entry
    assert tracebacks(server) == before + 1
    assert server.get("/").status == 200


@pytest.mark.parametrize("kind", list(KINDS))
def test_within_the_content(server: Server, kind: str) -> None:
    before = tracebacks(server)
    for version in ("1.0", "1.1"):
        with Wire(server.port) as wire:
            wire.send(request("GET", f"/{kind}/amid", version=version))
            with pytest.raises(Truncated):
                wire.read()
    server.wait_log(f"error in the application at GET /{kind}/amid", 2)
    assert tracebacks(server) == before + 2


@pytest.mark.parametrize("kind", list(KINDS))
def test_behind_the_response(server: Server, kind: str) -> None:
    """It was answered well, and the connection is kept."""
    with Wire(server.port) as wire:
        assert wire.get(f"/{kind}/behind").body == b"some"
        server.wait_log(f"error in the application at GET /{kind}/behind")
        assert wire.get("/").status == 200


@pytest.mark.parametrize("kind", ["exit", "interrupt"])
@pytest.mark.parametrize("when", ["forgotten", "callback"])
def test_outside_of_the_request(server: Server, kind: str, when: str) -> None:
    """Both leave run_forever(); the request that runs meanwhile is answered."""
    before = tracebacks(server)
    with Wire(server.port) as wire:
        assert wire.get(f"/{kind}/{when}").body == b"some"
    name = type(KINDS[kind]()).__name__
    server.until(lambda: tracebacks(server) > before, "it is logged")
    assert f"{name}: on purpose" in server.log
    assert tracebacks(server) == before + 1


# Lifespan.


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("stage", ["startup", "startup-child"])
def test_in_the_start(tmp_path: Path, kind: str, stage: str) -> None:
    env = {"LIFESPAN": f"{kind}/{stage}"}
    with Server(APP, "--lifespan", "on", directory=tmp_path, env=env, ready=False) as server:
        assert server.wait() == 3
        assert "the application's lifespan startup failed" in server.log
        assert server.log.count("in fail\n") == 1


@pytest.mark.parametrize("kind", ["error", "panic", "exit"])
def test_in_the_start_of_a_lifespan_that_is_optional(tmp_path: Path, kind: str) -> None:
    """The specification has the server go on, without it."""
    env = {"LIFESPAN": f"{kind}/startup"}
    with Server(APP, directory=tmp_path, env=env) as server:
        assert server.get("/").status == 200
        assert server.log.count("the application's lifespan failed") == 1
        assert server.log.count("in fail\n") == 1


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("stage", ["shutdown", "shutdown-child"])
def test_in_the_end(tmp_path: Path, kind: str, stage: str) -> None:
    env = {"LIFESPAN": f"{kind}/{stage}"}
    began = monotonic()
    with Server(APP, "--graceful-timeout", "20", directory=tmp_path, env=env) as server:
        pass
    assert monotonic() - began < 10
    assert server.log.count("the application's lifespan failed") == 1
    assert server.log.count("in fail\n") == 1


# The class that runs uvicorn's server.


def test_under_uvicorn(tmp_path: Path) -> None:
    """uvicorn itself would end with the task."""
    with Server(APP, "-k", "uvicorn", directory=tmp_path) as server:
        before = server.workers()
        for kind in KINDS:
            for when in ("before", "child"):
                assert server.get(f"/{kind}/{when}").status == 500
        assert server.get("/exit/callback").status == 200
        assert server.workers() == before
