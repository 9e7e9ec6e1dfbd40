"""The real command's logs: four processes write them, and rotation loses no line."""

import json
import signal
import socket
from pathlib import Path

from tests.harness.server import Server, exchange

APP = "tests.apps.wsgi:app"


def test_usr1_reopens_both_logs_in_every_process(tmp_path: Path) -> None:
    paths = [tmp_path / "error.log", tmp_path / "access.log"]
    options = ["--error-logfile", str(paths[0]), "--access-logfile", str(paths[1])]
    with Server(APP, "-w", "4", *options, directory=tmp_path, log=paths[0]) as server:
        connections = [server.connect() for _ in range(20)]
        for connection in connections:
            exchange(connection, "GET", "/before")
        for path in paths:
            path.rename(path.with_suffix(".1"))
        server.signal(signal.SIGUSR1)
        server.until(lambda: all(path.exists() for path in paths), "the logs are there again")
        server.wait_log("log files were reopened")

        def nobody_holds_the_old() -> bool:
            files = [file.path for each in server.processes() for file in each.open_files()]
            return not any(path.endswith(".1") for path in files)

        server.until(nobody_holds_the_old, "every process has left the old files")
        for connection in connections:
            exchange(connection, "GET", "/after")
            connection.close()
    before, after = paths[1].with_suffix(".1").read_text(), paths[1].read_text()
    assert before.count('"GET /before HTTP/1.1" 404 9') == 20
    assert after.count('"GET /after HTTP/1.1" 404 9') == 20
    assert "pyfork has stopped" in paths[0].read_text()


def test_json_on_stdout_says_which_worker_answered(tmp_path: Path) -> None:
    options = ["-w", "2", "--access-logfile", "-", "--access-logformat", "json"]
    with Server(APP, *options, directory=tmp_path) as server:
        pid = int(
            server.get("/", **{"User-Agent": "tést".encode().decode("latin-1")}).headers["X-Pid"]
        )
        slots = {worker.pid: slot for slot, worker in enumerate(server.workers())}
        server.until(lambda: server.out.endswith("\n"), "the access log has a line")
    line = json.loads(server.out)
    assert (line["method"], line["target"], line["status"], line["length"]) == ("GET", "/", 200, 15)
    assert line["pid"] == pid
    assert line["worker"] == slots[pid]
    assert 0 <= line["elapsed"] < 5
    assert 0 <= line["queue_time"] < 5


def test_application_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "def connect():\n    raise OSError('no database')\nconnect()\n"
    )
    options = ["-w", "4", "--chdir", str(tmp_path)]
    with Server("broken:app", *options, directory=tmp_path, ready=False) as server:
        assert server.wait() == 3
        log = server.log
    assert "broken.py:2: OSError: no database (cannot load broken:app)" in log
    assert log.count("Traceback (most recent call last)") == 1
    assert log.count('File "') == 2
    assert log.count("cannot load") == 1


def test_what_the_server_refuses_has_its_line_too(tmp_path: Path) -> None:
    options = ["--access-logfile", "-", "--access-logformat", "%(h)s %(r)s %(s)s %(b)s"]
    with Server("tests.apps.wsgi:app", *options, directory=tmp_path) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"NO SUCH\r\n\r\n")
            answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 400 ")
        length = len(answer.partition(b"\r\n\r\n")[2])
        line = f"127.0.0.1 NO SUCH HTTP/1.1 400 {length}\n"
        server.until(lambda: server.out == line, "the access log says so")
