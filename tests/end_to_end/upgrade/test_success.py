"""Upgrades that succeed: nobody notices, everything follows, nothing is left over."""

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.upgrade.conftest import MODES, TELLING, UpgradeSite, files, new_arbiter
from tests.harness.server import PATIENCE, Server
from tests.harness.slow_clients import SlowClients, answers

SEEN = b"PYFORK_WORKER"
KINDS = ("sync", "thread", "asgi")
EVERY_DAY = set(zip(KINDS, MODES, strict=True))  # the rest is for the soaks

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ASGI = """
import os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            pass
        return
    headers = [(b"content-length", b"3")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"two"})
"""


def closed(clients: list[socket.socket]) -> int:
    """How many of them the server has closed or spoken to."""
    count = 0
    for client in clients:
        try:
            client.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        count += 1
    return count


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        pytest.param(kind, mode, marks=() if (kind, mode) in EVERY_DAY else pytest.mark.soak)
        for kind in KINDS
        for mode in MODES
    ],
)
def test_idle_connections_and_running_requests_survive(
    yard: UpgradeSite, kind: str, mode: str
) -> None:
    yard.deploy("one")
    if kind == "asgi":
        yard.write(ASGI.replace("two", "one"))
    server = yard.begin(mode, "-k", kind)
    slow: list[bytes] = []
    with SlowClients(server.port, 300) as crowd:
        assert answers(crowd.sockets[:200], GET, 10) == 200
        asking = threading.Thread(target=lambda: slow.append(server.get("/?1.2").body))
        asking.start()
        if kind == "asgi":
            yard.write(ASGI)
        else:
            yard.deploy("two")
        new = yard.upgrade(server, mode)
        asking.join()
        assert slow == [b"one"]
        assert closed(crowd.sockets) == 0
        assert answers(crowd.sockets, GET, 10) == 300
        assert new.get("/").body == b"two"


@pytest.mark.parametrize("mode", ["spawn", pytest.param("exec", marks=pytest.mark.soak)])
def test_a_websocket_is_told_in_time(yard: UpgradeSite, mode: str) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    yard.write(ASGI)
    server = yard.begin(mode)
    with connect(f"ws://127.0.0.1:{server.port}/") as client:
        yard.upgrade(server, mode)
        with pytest.raises(ConnectionClosed) as told:
            client.recv(timeout=5)
        assert told.value.rcvd
        assert told.value.rcvd.code == 1012


@pytest.mark.parametrize("mode", MODES)
def test_files_follow(yard: UpgradeSite, mode: str) -> None:
    """Socket file, pid file, a control socket at a place of its own; the last one tidies up.

    And the application sees nothing of it in its environment.
    """
    first, control = yard.directory / "first", yard.directory / "control"
    yard.write(TELLING.format(text="one"))
    options = ("-b", "127.0.0.1:0", "-b", f"unix:{first}", "--control", str(control))
    server = yard.begin(mode, *options)
    port = server.port
    server = yard.upgrade(server, mode, *options)
    assert server.port == port
    assert over_unix(first).split() in ([b"one", b"0", SEEN], [b"one", b"1", SEEN])
    assert int(yard.pid_file.read_text()) == server.pid
    status = json.loads(yard.command("status", str(control), "--json").stdout)
    assert status["pid"] == server.pid
    assert status["state"] == "serving"
    assert status["addresses"] == [f"127.0.0.1:{port}", f"unix:{first}"]
    assert status["last_upgrade"]["ok"]
    server.signal(signal.SIGTERM)
    server.until(lambda: not server.processes(), "it has ended")
    left = {path.name for path in yard.directory.iterdir()} & {"first", "control", "shop.pid"}
    assert not left


@pytest.mark.parametrize("mode", ["spawn", pytest.param("exec", marks=pytest.mark.soak)])
def test_changed_addresses_change_when_it_has_succeeded(yard: UpgradeSite, mode: str) -> None:
    paths = {name: yard.directory / name for name in ("kept", "dropped", "added")}
    config = yard.directory / "pyfork.toml"

    def bind(*names: str) -> str:
        return "bind = [" + ", ".join(f'"unix:{paths[name]}"' for name in names) + "]"

    config.write_text(bind("kept", "dropped"))
    server = yard.begin(mode, clean=True, bind=False)
    config.write_text(bind("kept", "added"))
    yard.write("1 / 0")
    server.signal(signal.SIGUSR2)
    server.wait_log("upgrade failed")
    assert over_unix(paths["dropped"]) == b"one"
    assert not paths["added"].exists()
    yard.deploy("two")
    yard.upgrade(server, mode)
    assert over_unix(paths["kept"]) == over_unix(paths["added"]) == b"two"
    assert not paths["dropped"].exists()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mode", "times"),
    [("exec", 1), *(pytest.param(mode, 20, marks=pytest.mark.soak) for mode in MODES)],
)
def test_many_in_a_row_leave_nothing(yard: UpgradeSite, mode: str, times: int) -> None:
    server = yard.upgrade(yard.begin(mode), mode)
    before, memory = census(server), resident(server)
    for _ in range(times):
        server = yard.upgrade(server, mode)
    server.until(lambda: census(server) == before, f"it is {before} again")
    assert resident(server) - memory < 2 << 20
    runtime = yard.runtime / "pyfork"
    assert [path.name for path in runtime.iterdir()] == [f"{server.pid}.sock"]


def resident(server: Server) -> int:
    """Bytes of memory that the arbiter has."""
    return int(psutil.Process(server.pid).memory_info().rss)


def census(server: Server) -> tuple[int, list[int], int]:
    """Files of the arbiter, of its workers, and how many processes there are."""
    arbiter = psutil.Process(server.pid)
    server.until(lambda: len(server.processes()) == 3, "nobody else is there")
    server.until(lambda: len(arbiter.children(recursive=True)) == 2, "the others are reaped")
    # Its answer comes after the turn of its loop that has closed the files of those.
    command = [sys.executable, "-m", "pyfork", "status", "--quiet", str(server.pid)]
    subprocess.run(command, check=True, timeout=PATIENCE)
    workers = sorted(files(each.pid) for each in server.workers())
    return files(server.pid), workers, len(arbiter.children(recursive=True))


def test_the_command_waits_for_the_end(yard: UpgradeSite) -> None:
    server = yard.begin("spawn")
    yard.deploy("two")
    done = yard.command("upgrade", "shop", "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    assert "has been upgraded" in done.stdout
    assert server.get("/").body == b"two"
    server.follow(new_arbiter(server))


def test_the_command_lives_through_an_exec(yard: UpgradeSite) -> None:
    server = yard.begin("exec")
    yard.deploy("two")
    done = yard.command("upgrade", "shop", "--wait", "--json")
    assert done.returncode == 0
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said[-1] == {"ok": True, "generation": 2}
    assert {"progress": {"stage": "reloading"}} in said
    assert server.get("/").body == b"two"


def over_unix(path: Path) -> bytes:
    """What GET / answers there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(65536), b"")).rpartition(b"\r\n\r\n")[2]
