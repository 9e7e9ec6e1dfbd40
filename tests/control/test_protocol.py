"""One JSON object a line each way, whatever a client sends or does not read."""

import itertools
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from pyfork.arbiter.control.server import MAX_CLIENTS, MAX_LINE
from tests.harness.server import Server
from tests.harness.site import Site


def test_status(site: Site) -> None:
    server = site.serve("-w", "2", "-n", "blue")
    server.get("/")
    status = server.until(
        lambda: (
            (found := site.status(server))
            and any(w["requests"] for w in found["workers"])
            and found
        ),
        "the request is counted",
    )
    assert {name: status[name] for name in ("pid", "name", "app", "addresses")} == {
        "pid": server.pid,
        "name": "blue",
        "app": "shop:app",
        "addresses": [f"127.0.0.1:{server.port}"],
    }
    assert (status["state"], status["ready"], status["generation"]) == ("serving", True, 1)
    assert status["last_reload"] is None
    assert status["workers_wanted"] == 2
    assert 0 < status["uptime"] < 60
    workers = status["workers"]
    assert [each["slot"] for each in workers] == [0, 1]
    assert {each["pid"] for each in workers} == {process.pid for process in server.workers()}
    assert sum(each["requests"] for each in workers) == 1
    assert all(each["memory"] > 1 << 20 and each["state"] == "serving" for each in workers)


def test_status_tells_what_a_worker_does(site: Site) -> None:
    server = site.serve()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /slow?2 HTTP/1.0\r\n\r\n")
        wire = site.wire(server)

        def busy() -> dict[str, object] | None:
            (worker,) = wire.ask("status")["status"]["workers"]
            return worker if worker["in_flight"] else None

        worker = server.until(busy, "the request is seen")
        assert worker
        assert str(worker["doing"]).startswith("GET /slow")
        assert worker["connections"] == 1
        assert client.recv(1000)


def test_status_while_booting(site: Site) -> None:
    site.write("import time; time.sleep(60)")
    server = site.serve(ready=False)
    server.until(lambda: site.socket(server).exists(), "the socket is there")
    status = site.status(server)
    assert (status["state"], status["ready"]) == ("booting", False)
    assert site.command("status", str(server.pid), "--quiet").returncode == 1


def test_scale(site: Site) -> None:
    server = site.serve("-w", "2")
    wire = site.wire(server)
    for options, size in (({"by": 1}, 3), ({"to": 1}, 1), ({"to": 2}, 2), ({"by": -1}, 1)):
        assert wire.ask("scale", **options) == {"ok": True, "workers": size}
        server.until(lambda: len(server.workers()) == size, f"there are {size} workers")  # noqa: B023
    for options in ({}, {"by": 1, "to": 2}, {"to": 0}, {"by": -1}, {"to": 10**9}, {"to": True}):
        assert not wire.ask("scale", **options)["ok"]
    assert len(server.workers()) == 1


def test_reopen_logs(site: Site) -> None:
    path = site.directory / "error.log"
    server = site.serve("--error-logfile", str(path), log=path)
    path.rename(site.directory / "error.log.1")
    assert site.wire(server).ask("reopen-logs") == {"ok": True}
    server.wait_log("log files were reopened")


def test_reload_without_waiting(site: Site) -> None:
    server = site.serve()
    site.deploy("two")
    assert site.wire(server).ask("reload") == {"ok": True, "generation": 2}
    server.wait_log("generation 2 serves")
    last = site.status(server)["last_reload"]
    assert (last["ok"], last["generation"], last["error"]) == (True, 2, "")
    assert last["ago"] < 20


def test_a_newer_reload_answers_who_waits_for_an_older_one(site: Site) -> None:
    server = site.serve()
    site.write("import time; time.sleep(60)")
    first, second = site.wire(server), site.wire(server)
    first.send("reload", wait=True)
    assert first.receive() == {"progress": {"generation": 2, "ready": 0, "of": 1}}
    assert site.status(server)["state"] == "reloading"
    site.deploy("two")
    second.send("reload", wait=True)
    assert first.receive()["error"] == "a newer reload was asked for"
    while "ok" not in (answer := second.receive()):
        assert answer["progress"]["generation"] == 3
    assert answer == {"ok": True, "generation": 3}
    assert first.ask("status")["ok"], "the connection goes on"


@pytest.mark.parametrize("quick", [False, True])
def test_stop(site: Site, quick: bool) -> None:
    server = site.serve("-w", "2")
    wire = site.wire(server)
    assert wire.ask("stop", quick=quick) == {"ok": True}
    assert wire.receive() is None, "the end of the connection is that of the server"
    assert server.wait() == 0
    assert not site.socket(server).exists()
    assert ("control: quick stop" in server.log) is quick


def test_stop_asked_for_twice_is_not_impatient(site: Site) -> None:
    server = site.serve()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /?1 HTTP/1.0\r\n\r\n")
        server.until(lambda: site.status(server)["workers"][0]["in_flight"], "it is in flight")
        wire = site.wire(server)
        assert wire.ask("stop") == wire.ask("stop") == {"ok": True}
        status = wire.ask("status")["status"]
        assert (status["state"], status["ready"]) == ("draining", False)
        assert wire.ask("reload") == {"ok": False, "error": "the server is stopping"}
        assert not wire.ask("scale", by=1)["ok"]
        assert b"one" in client.makefile("rb").read()
    assert server.wait() == 0


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"hello", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 60000, "not JSON"),
        (b"9" * 60000, "not JSON"),
        (b"[]", "a request is an object"),
        (b"{}", "a request is an object"),
        (b'{"request": 1}', "a request is an object"),
        (b'{"request": "fly"}', "no such request: 'fly'; there are status, sockets, reload"),
        (b'{"request": "status", "wait": true}', "status has no option 'wait'"),
        (b'{"request": "reload", "wait": 1}', "reload: wait must be bool"),
    ],
)
def test_nonsense_is_answered_and_the_connection_goes_on(
    site: Site, line: bytes, error: str
) -> None:
    server = site.serve()
    wire = site.wire(server)
    wire.socket.sendall(b"\n" + line + b"\n")
    answer = wire.receive()
    assert answer["ok"] is False
    assert answer["error"].startswith(error)
    assert wire.ask("status")["ok"]


def test_a_line_that_is_too_long_ends_the_connection_alone(site: Site) -> None:
    server = site.serve()
    wire = site.wire(server)
    wire.socket.sendall(b" " * (MAX_LINE + 1))
    assert wire.receive()["error"] == f"a line is longer than {MAX_LINE} bytes"
    assert wire.receive() is None
    assert site.status(server)["ready"]


def test_requests_byte_by_byte_and_many_at_once(site: Site) -> None:
    server = site.serve()
    wire = site.wire(server)
    for byte in b'{"request": "status"}\n':
        wire.socket.sendall(bytes([byte]))
    assert wire.receive()["ok"]
    requests = ({"request": "reload", "wait": True}, {"request": "status"}, {"request": "stop"})
    wire.socket.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in requests))
    wire.socket.shutdown(socket.SHUT_WR)
    answers = list(iter(wire.receive, None))
    assert [name for each in answers for name in each if name in ("generation", "status")] == [
        "generation",
        "status",
    ], "what comes behind a request that waits is answered after it"
    assert answers[-1] == {"ok": True}
    assert server.wait() == 0


def test_the_last_line_needs_no_end(site: Site) -> None:
    server = site.serve()
    wire = site.wire(server)
    wire.socket.sendall(b'{"request": "status"}')
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.receive()["ok"]
    assert wire.receive() is None


def test_a_client_that_never_reads_is_dropped_and_holds_nobody_up(site: Site) -> None:
    server = site.serve()
    wire = site.wire(server)
    flood = (b'{"request": "status"}\n' * 1000 for _ in itertools.count())
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        list(map(wire.socket.sendall, flood))
    assert site.status(server)["ready"]
    assert server.get("/").status == 200


def test_clients_that_say_nothing_make_room(site: Site) -> None:
    server = site.serve()
    wires = [site.wire(server) for _ in range(MAX_CLIENTS)]
    assert wires[0].ask("status")["ok"], "it is not the one that was silent for longest"
    assert site.wire(server).ask("status")["ok"]
    assert wires[1].receive() is None
    assert all(wire.ask("status")["ok"] for wire in (wires[0], *wires[2:]))


def test_clients_cost_an_idle_server_nothing(site: Site) -> None:
    server = site.serve()
    half, waiting = site.wire(server), site.wire(server)
    half.socket.shutdown(socket.SHUT_WR)
    assert half.receive() is None
    site.write("import time; time.sleep(60)")
    waiting.send("reload", wait=True)
    waiting.socket.shutdown(socket.SHUT_WR)
    assert waiting.receive()
    before = _cpu(server)
    time.sleep(0.5)  # what is tested is what happens meanwhile
    assert _cpu(server) - before < 0.2, "it does not spin"


def _cpu(server: Server) -> float:
    times = psutil.Process(server.pid).cpu_times()
    return times.user + times.system


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_hold_neither_the_socket_nor_a_connection(site: Site) -> None:
    server = site.serve("-w", "2")
    wire = site.wire(server)
    assert wire.ask("scale", by=1)["ok"]
    server.until(lambda: site.status(server)["ready"], "all serve")
    ours = _sockets(server.pid)
    for worker in server.workers():
        shared = ours & _sockets(worker.pid)
        assert len(shared) == 3, "the listener, and both ends of the connection queue"


def _sockets(pid: int) -> set[str]:
    links = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return {link for link in links if link.startswith("socket:")}


def test_only_its_owner_may_speak(site: Site) -> None:
    server = site.serve("--umask", "0")
    found = site.socket(server).lstat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert stat.S_IMODE(site.socket(server).parent.lstat().st_mode) == 0o700


STRANGER = """
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
try:
    client.sendall(b'{"request": "stop"}\\n')
    assert client.recv(100) == b""
except OSError:  # sent away before it has said it
    pass
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_is_sent_away_even_if_the_file_lets_him_in(site: Site) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = Path(directory, "sock")
        server = site.serve("--control", str(path))
        Path(directory).chmod(0o755)
        path.chmod(0o666)
        done = subprocess.run(
            [sys.executable, "-c", STRANGER, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        server.wait_log("a control connection of another user was refused")
        assert (done.returncode, done.stderr) == (0, "")
        assert site.command("status", str(path)).returncode == 0
