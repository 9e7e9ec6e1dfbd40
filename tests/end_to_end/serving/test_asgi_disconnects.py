"""ASGI clients that leave: frameworks notice at once, and no work is cancelled unasked."""

import json
import signal
import socket
import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import pytest

from tests.harness.client import Wire, request
from tests.harness.server import Server

pytest.importorskip("sse_starlette")

APP = "tests.apps.leaving:app"
GRACE = ("--graceful-timeout", "25")
STREAMS = [
    "/stream",
    "/sse",
    "/fastapi/stream",
    *(["/fastapi/events"] if find_spec("fastapi.sse") else []),
    "/behind/stream",
    "/behind/sse",
]


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    with Server(APP, "--loop", request.param, directory=directory) as server:
        yield server
        assert "[ERROR]" not in server.log


def noted(server: Server, name: str) -> list[str]:
    """What the application noted under a name."""
    return json.loads(server.get("/notes").body).get(name, [])  # type: ignore[no-any-return]


def ask(server: Server, path: str) -> Wire:
    """A client whose request is being worked on."""
    wire = Wire(server.port)
    wire.send(request("GET", path))
    name = path.rpartition("/")[2]
    server.until(lambda: "open" in noted(server, name), "it is worked on")
    return wire


def leave(wire: Wire, how: str) -> None:
    """With a FIN that may be a half-close, for all that a server knows; or with a reset."""
    if how == "reset":
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("path", STREAMS)
def test_an_idle_stream_is_cleaned_up_at_once(server: Server, path: str, how: str) -> None:
    """granian#412, fastapi#1342, sse-starlette#1."""
    name = path.replace("/", "-") + how
    leave(ask(server, f"{path}/{name}"), how)
    server.until(lambda: "closed" in noted(server, name), "its generator is closed", 5)
    assert noted(server, name) == ["open", "closed"]


@pytest.mark.parametrize("path", ["/followed", "/behind/followed"])
def test_a_background_task_runs_to_its_end(server: Server, path: str) -> None:
    name = path.replace("/", "-")
    leave(ask(server, f"{path}/{name}"), "reset")
    server.until(lambda: "closed" in noted(server, name), "its generator is closed")
    server.get(f"/open/{name}")
    server.until(lambda: "worked" in noted(server, name), "it is done")


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("path", ["/pays", "/behind/pays"])
def test_a_payment_goes_on(server: Server, path: str, how: str) -> None:
    """And what is to be done behind its response, which nobody gets."""
    name = path.replace("/", "-") + how
    leave(ask(server, f"{path}/{name}"), how)
    assert server.get("/notes").status == 200
    server.get(f"/open/{name}")
    server.until(lambda: "worked" in noted(server, name), "it is done")
    assert noted(server, name) == ["open", "paid", "worked"]


@pytest.mark.soak
def test_a_stream_without_end_is_told_by_an_error(server: Server) -> None:
    """Meanwhile it does not hold the loop."""
    leave(ask(server, "/bare/ceaseless/ceaseless"), "reset")
    assert noted(server, "ceaseless") == ["open"]
    server.until(lambda: "ClientDisconnected" in noted(server, "ceaseless"), "it is told", 20)


def test_django_cleans_up_at_once(tmp_path: Path) -> None:
    with Server("tests.apps.leaving_django:application", *GRACE, directory=tmp_path) as server:
        for how in ("fin", "reset"):
            leave(ask(server, f"/stream/{how}"), how)
            server.until(lambda how=how: "closed" in noted(server, how), "it is closed", 5)  # type: ignore[misc]
        assert "[ERROR]" not in server.log


# Drains.


def stop(server: Server) -> float:
    """Stop it; how many seconds that took."""
    began = monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    return monotonic() - began


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_stop_does_not_wait_for_who_has_left(tmp_path: Path, how: str) -> None:
    """The application cannot know: it does not ask."""
    with Server(APP, *GRACE, directory=tmp_path) as server:
        leave(ask(server, "/bare/idle/a"), how)
        server.get("/notes")
        assert stop(server) < 10
        assert "[ERROR]" not in server.log


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_nor_for_who_leaves_meanwhile(tmp_path: Path, how: str) -> None:
    with Server(APP, *GRACE, directory=tmp_path) as server:
        wires = [ask(server, f"{path}/{number}") for number, path in enumerate(STREAMS)]
        wires.append(ask(server, "/bare/idle/bare"))
        began = monotonic()
        server.signal(signal.SIGTERM)
        server.wait_log("graceful stop")
        server.until(lambda: not _accepts(server), "it drains")
        for wire in wires:
            leave(wire, how)
        assert server.wait() == 0
        assert monotonic() - began < 10
        assert "[ERROR]" not in server.log


def _accepts(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port)).close()
    except ConnectionError:
        return False
    return True


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_stop_waits_for_work_whose_client_has_left(tmp_path: Path, how: str) -> None:
    """No response has begun, so the work itself may be what matters; and what is behind one."""
    with Server(APP, *GRACE, directory=tmp_path) as server:
        leave(ask(server, "/takes-long/a"), how)
        stop(server)
        assert server.out.split() == ["paid", "worked"]


TOLD = """
import asyncio
async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/answers":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
    print("open", flush=True)
    while (await receive())["type"] != "http.disconnect":
        pass
    print("told", flush=True)
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        raise
"""


@pytest.mark.parametrize("path", ["/", "/answers"])
def test_work_that_goes_on_is_cancelled_when_the_grace_is_over(tmp_path: Path, path: str) -> None:
    """Its application was told, before the drain or in it, and chose to go on."""
    (tmp_path / "told.py").write_text(TOLD)
    options = ("--lifespan", "off", "--graceful-timeout", "2")
    with Server("told:app", *options, cwd=tmp_path, directory=tmp_path) as server:
        before, within = Wire(server.port), Wire(server.port)
        for wire in (before, within):
            wire.send(request("GET", path))
        server.until(lambda: server.out.count("open") == 2, "both are worked on")
        leave(before, "fin")
        server.until(lambda: server.out.count("told") == 1, "one is told")
        began = monotonic()
        server.signal(signal.SIGTERM)
        server.until(lambda: not _accepts(server), "it drains")
        leave(within, "reset")
        server.until(lambda: server.out.count("told") == 2, "the other is told")
        assert "cancelled" not in server.out
        assert server.wait() == 0
        assert 1.5 < monotonic() - began < 8
        assert server.out.count("cancelled") == 2
        assert "error in the application" not in server.log
