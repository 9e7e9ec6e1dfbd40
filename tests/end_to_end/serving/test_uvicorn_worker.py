"""`-k uvicorn`: stock uvicorn under pyfork's arbiter."""

import signal
from pathlib import Path

import pytest

from tests.end_to_end.serving.test_deadlines import Clients
from tests.harness.client import Wire, request
from tests.harness.server import Server

ASGI = ("tests.apps.asgi_kinds:app", "-k", "uvicorn")


def test_it_serves_both_interfaces(tmp_path: Path) -> None:
    for app in ("tests.apps.plain:asgi", "tests.apps.plain:wsgi"):
        with Server(app, "-k", "uvicorn", directory=tmp_path) as server, Wire(server.port) as wire:
            wire.send(request("POST", "/", body=b"a" * 100_000))
            assert wire.read().body == b"a" * 100_000
            assert wire.get("/pid").body == b"%d" % server.workers()[0].pid
        (tmp_path / "server.log").unlink()


def test_a_reload_replaces_every_worker(tmp_path: Path) -> None:
    with Server(*ASGI, "-w", "2", directory=tmp_path) as server:
        before = {worker.pid for worker in server.workers()}
        with Clients(server, "/slow?0.001", kept=0, fresh=2) as clients:
            server.until(lambda: clients.count > 20, "they are served")
            server.signal(signal.SIGHUP)
            server.wait_log("generation 2 serves")
            server.until(
                lambda: not before & {worker.pid for worker in server.workers()}, "the old left"
            )
        assert clients.count > 20
        assert not clients.lost


def test_a_stop_waits_for_what_runs(tmp_path: Path) -> None:
    with Server(*ASGI, directory=tmp_path) as server, Wire(server.port) as wire:
        wire.send(request("GET", "/slow?0.3"))
        server.until(lambda: server.get("/notes").status == 200, "it was read")
        server.signal(signal.SIGTERM)
        assert wire.read().status == 200
        assert server.wait() == 0


def test_what_runs_too_long_is_cut(tmp_path: Path) -> None:
    with (
        Server(*ASGI, "--graceful-timeout", "1", directory=tmp_path) as server,
        Wire(server.port) as wire,
    ):
        wire.send(request("GET", "/slow?3600"))
        server.until(lambda: server.get("/notes").status == 200, "it was read")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_dead_worker_is_replaced(tmp_path: Path) -> None:
    with Server(*ASGI, directory=tmp_path) as server:
        victim = server.workers()[0]
        victim.kill()
        server.wait_log("is ready", 2)
        assert server.get("/slow?0").body != b"%d" % victim.pid


@pytest.mark.parametrize("wanted", ["raises", "fails"])
def test_a_failed_startup_ends_the_boot(tmp_path: Path, wanted: str) -> None:
    with Server(
        *ASGI, "--lifespan", "on", directory=tmp_path, env={"LIFESPAN": wanted}, ready=False
    ) as server:
        assert server.wait() == 3
        assert "no database" in server.log


def test_max_requests(tmp_path: Path) -> None:
    with (
        Server(*ASGI, "-w", "2", "--max-requests", "30", directory=tmp_path) as server,
        Clients(server, "/slow?0", kept=0, fresh=2) as clients,
    ):
        server.until(lambda: len(clients.bodies) >= 4, "two were replaced")
    assert not clients.lost
    assert "[ERROR]" not in server.log
