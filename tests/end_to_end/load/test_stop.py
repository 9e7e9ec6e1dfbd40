"""The end of the port: what clients had sent before it is answered."""

import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.harness.load import KINDS, Code, serve
from tests.harness.server import PATIENCE, Server

BACKLOG = 128


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_backlog_is_answered_after_term(tmp_path: Path, kind: str) -> None:
    """One worker is kept from accepting; TERM finds the kernel's queue full of whole requests."""
    code = Code(tmp_path)
    # A thread worker with one thread does not accept while that is busy; an event loop that
    # never blocks would, so it is stopped like a machine that is short of everything.
    options = ("--threads", "1") if kind == "thread" else ()
    with serve(code, kind, 1, tmp_path, "--backlog", str(BACKLOG), *options) as server:
        (worker,) = server.workers()
        busy = socket.create_connection(("127.0.0.1", server.port))
        busy.sendall(b"GET /slow?n=busy&s=0.2 HTTP/1.1\r\nHost: a\r\n\r\n")
        server.until(lambda: queued(server.port) == 0, "it was accepted")
        worker.suspend()
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(BACKLOG)]
        for number, client in enumerate(clients):
            client.sendall(b"GET /small?n=%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        server.until(lambda: queued(server.port) == BACKLOG, "the backlog is full")
        server.signal(signal.SIGTERM)
        server.wait_log("graceful stop")
        worker.resume()
        assert b"busy 1\n" in read_all(busy)
        for number, client in enumerate(clients):
            answer = read_all(client)
            assert answer.startswith(b"HTTP/1.1 200 "), (number, answer)
            assert answer.endswith(b"\r\n\r\n%d 1\n" % number)
        # The first may be answered in the turn of the loop in which the worker hears of it.
        assert b"\r\nConnection: close\r\n" in answer
        assert server.wait() == 0


@pytest.mark.parametrize("dispatch", ["least", "round-robin", "reuseport"])
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel resets them")
def test_a_connection_made_in_that_moment_is_answered_or_refused(
    tmp_path: Path, dispatch: str
) -> None:
    """30 clients with a connection for each request: none of them is reset."""
    failures: list[str] = []
    answered = threading.Semaphore(0)

    def ask(port: int) -> None:
        while True:
            try:
                client = socket.create_connection(("127.0.0.1", port), PATIENCE)
            except ConnectionRefusedError:
                return  # this is the end
            with client:
                try:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    answer = client.recv(4096)
                except OSError as error:
                    failures.append(repr(error))
                    return
                if not answer.startswith(b"HTTP/1.1 200"):
                    failures.append(repr(answer))
            answered.release()

    options = ("-w", "2", "--dispatch", dispatch)
    with Server("tests.apps.plain:asgi", *options, directory=tmp_path) as server:
        clients = [threading.Thread(target=ask, args=(server.port,)) for _ in range(30)]
        for each in clients:
            each.start()
        for _ in range(200):
            assert answered.acquire(timeout=PATIENCE)
        server.signal(signal.SIGTERM)
        for each in clients:
            each.join()
        assert server.wait() == 0
    assert failures == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_runs_after_a_response_is_finished(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "afterwards"
    options = {"directory": tmp_path, "env": {"AFTERWARDS": str(path)}}
    with Server("tests.apps.afterwards:app", "--lifespan", "off", **options) as server:  # type: ignore[arg-type]
        (worker,) = server.workers()
        assert server.get("/").body == b"sent"
        server.signal(number)
        server.until(lambda: not worker.is_running(), "the worker has left")
        assert number != signal.SIGTERM or server.wait() == 0
        assert path.read_text() == "done"
    assert "ERROR" not in server.log


def queued(port: int) -> int:
    """Connections that wait in the kernel for an accept."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state, queues = line.split()[1], line.split()[3], line.split()[4]
        if state == "0A" and int(local.rpartition(":")[2], 16) == port:
            return int(queues.partition(":")[2], 16)
    return -1


def read_all(client: socket.socket) -> bytes:
    client.settimeout(15)
    with client, client.makefile("rb") as stream:
        return stream.read()


@pytest.mark.parametrize("kind", ["sync", "thread", "asgi"])
def test_a_python_without_ctypes_stops_all_the_same(tmp_path: Path, kind: str) -> None:
    """As some are built; or the user of the workers may not read the library."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "ctypes.py").write_text("raise ImportError('no libffi here')\n")
    app = "tests.apps.plain:asgi" if kind == "asgi" else "tests.apps.plain:wsgi"
    env = {"PYTHONPATH": str(tmp_path / "without")}
    with Server(app, "-k", kind, directory=tmp_path, env=env) as server:
        assert server.get("/").status == 200
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "Traceback" not in server.log
