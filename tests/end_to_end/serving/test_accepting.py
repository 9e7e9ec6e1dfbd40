"""Accepting: clients that come in numbers, that are gone already, or for whom there is no room."""

import socket
import struct
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.harness.client import Wire, request
from tests.harness.server import Server

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time

loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


@loops
def test_nobody_is_dropped_for_want_of_descriptors(tmp_path: Path, loop: str) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(
            Server("tests.apps.wsgi:app", "--loop", loop, directory=tmp_path)
        )
        (worker,) = server.workers()
        assert server.get("/").status == 200
        limit = worker.num_fds() + 6
        worker.rlimit(psutil.RLIMIT_NOFILE, (limit, limit))
        clients = [stack.enter_context(Wire(server.port)) for _ in range(10)]
        for client in clients:
            client.send(request("GET", "/"))
        server.wait_log("cannot accept")
        for client in clients:
            assert client.read().status == 200
            client.close()  # which makes room
        assert server.get("/").status == 200


@loops
def test_who_is_gone_when_accepted_leaves_nothing_behind(tmp_path: Path, loop: str) -> None:
    options = ("--loop", loop, "--worker-connections", "4")
    with Server("tests.apps.wsgi:app", *options, directory=tmp_path) as server:
        (worker,) = server.workers()
        assert server.get("/").status == 200
        before = server.until(lambda: idle_fds(worker), "it has no connection")
        worker.suspend()
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with Wire(server.port) as wire:
            wire.send(request("GET", "/"))
            worker.resume()
            assert wire.read().status == 200
        # One that was counted and not forgotten would take the place of a client.
        with ExitStack() as stack:
            for _ in range(4):
                wire = stack.enter_context(Wire(server.port))
                wire.send(request("GET", "/"))
                assert wire.read().status == 200
        server.until(lambda: worker.num_fds() == before, "their descriptors are closed")


@loops
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_an_ended_connection_waits_for_no_collector(tmp_path: Path, kind: str, loop: str) -> None:
    options = ("--loop", loop, "--lifespan", "off")
    with Server(f"tests.end_to_end.serving.alive:{kind}", *options, directory=tmp_path) as server:
        counts = [int(server.get("/", Connection="close").body) for _ in range(10)]
        assert max(counts) <= 2, counts  # the one that asks, and one that is ending


def idle_fds(worker: psutil.Process) -> int:
    """How many descriptors it has, without a connection; else 0."""
    open_ones = [each for each in worker.net_connections() if each.status != "LISTEN"]
    return 0 if open_ones else worker.num_fds()


@loops
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_10000_connections_opened_and_reset(tmp_path: Path, interface: str, loop: str) -> None:
    """Some without a byte, some within a request, some with one that is answered to nobody."""
    app = f"tests.apps.plain:{interface}"
    sent = (b"", b"GET / HT", request("GET", "/"), request("POST", "/", "Content-Length: 9"))
    with Server(app, "--loop", loop, directory=tmp_path) as server:
        (worker,) = server.workers()
        assert server.get("/").status == 200
        before = server.until(lambda: idle_fds(worker), "it has no connection")
        memory = worker.memory_info().rss
        for number in range(10_000):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.sendall(sent[number % len(sent)])
        assert server.get("/").status == 200
        server.until(lambda: worker.num_fds() == before, "their descriptors are closed")
        assert worker.memory_info().rss - memory < 8 << 20
        assert [worker.pid] == [each.pid for each in server.workers()]
    assert "ERROR" not in server.log
    assert "Traceback" not in server.log
