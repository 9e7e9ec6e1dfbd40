"""Whatever an application raises is its failure: answered or cut, logged once, survived."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.client import Truncated, Wire, request
from tests.harness.server import Server
from tests.wsgi.app import ERRORS

KINDS = {"sync": (), "asyncio": ("--loop", "asyncio"), "thread": ("--threads", "2")}


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    with Server("tests.wsgi.app", *KINDS[request.param], directory=directory) as server:
        yield server


def logged(server: Server) -> int:
    return server.log.count("error in the application at GET /fails")


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("where", ["call", "first", "second", "write", "file", "close"])
def test_it_is_answered_logged_once_and_survived(server: Server, name: str, where: str) -> None:
    """gunicorn#2965, pyo3#3918: an exception that is no Exception is a failure like any other."""
    if name == "StopIteration" and where in ("first", "second"):
        pytest.skip("that is how an iteration ends")
    before, [worker] = logged(server), server.workers()
    with Wire(server.port) as wire:
        wire.send(request("GET", f"/fails?{name},{where}"))
        if where in ("call", "first"):
            answer = wire.read()
            assert (answer.status, answer.headers["connection"]) == (500, "close")
        elif where == "close":
            assert (wire.read().body, wire.get("/pid").status) == (b"first", 200)
        else:
            with pytest.raises(Truncated):
                wire.read()
    server.until(lambda: logged(server) == before + 1, "it is logged")
    assert _last_line(name) in server.log.rstrip().splitlines()[-1]
    assert server.get("/pid").body == b"%d" % worker.pid
    assert logged(server) == before + 1


def _last_line(name: str) -> str:
    kind = type(ERRORS[name])
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


@pytest.mark.parametrize("kind", ["None", "str", "int"])
@pytest.mark.parametrize("how", ["pieces", "list"])
def test_a_piece_that_is_not_bytes_is_named(server: Server, kind: str, how: str) -> None:
    with Wire(server.port) as wire:
        wire.send(request("GET", f"/pieces?{kind},{how}"))
        if how == "list":
            assert wire.read().status == 500
        else:
            with pytest.raises(Truncated):
                wire.read()
    name = "NoneType" if kind == "None" else kind
    server.wait_log(f"content is of type {name}; it must be bytes")


def test_the_counters_go_back(server: Server) -> None:
    """A stop does not wait for requests that have failed; the fixture sees that it is clean."""
    for name in ERRORS:
        with Wire(server.port) as wire:
            wire.send(request("GET", f"/fails?{name},call"))
            assert wire.read().status == 500
    with Wire(server.port) as wire:
        assert wire.get("/pid").status == 200
