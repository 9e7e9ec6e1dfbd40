"""A worker's end is Python's end: for its application all is done that Py_FinalizeEx would do.

Names of public reports: benoitc/gunicorn#2510, #2800, #3283, Kludex/uvicorn#936, #1690, #1768.
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness.server import Server

EXIT = ["exit function 2", "exit function 1"]


def notes(directory: Path) -> list[str]:
    """What the application has noted so far."""
    path = directory / "notes"
    return path.read_text().splitlines() if path.exists() else []


def serve(directory: Path, *options: str, **more: Any) -> Server:
    return Server(
        "tests.end_to_end.ending.app:app", *options, directory=directory, cwd=directory, **more
    )


def term(server: Server) -> None:
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def interrupt(server: Server) -> None:
    server.signal(signal.SIGINT)
    assert server.wait() == 0


def reload(server: Server) -> None:
    server.signal(signal.SIGHUP)
    server.wait_log("left after")


def wear(server: Server) -> None:
    server.wait_log("left after")


def orphan(server: Server) -> None:
    os.kill(server.pid, signal.SIGKILL)
    server.until(lambda: not server.processes(), "the worker has left")


def tell_worker(server: Server) -> None:
    server.workers()[0].terminate()
    server.wait_log("exit status 0")


ENDS = {
    "TERM": (term, ()),
    "INT": (interrupt, ()),
    "HUP": (reload, ()),
    "max-requests": (wear, ("--max-requests", "5")),
    "the arbiter's death": (orphan, ()),
    "TERM to the worker": (tell_worker, ()),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize(("kind", "loop"), [("sync", "uvloop"), ("thread", "asyncio")])
def test_everything_that_was_registered_is_done(
    tmp_path: Path, how: str, kind: str, loop: str
) -> None:
    end, options = ENDS[how]
    with serve(tmp_path, "-k", kind, "--loop", loop, *options, clean=False) as server:
        for todo in ("process_pool", "record", "write", "daemon", "jobs"):
            assert server.get(f"/{todo}").status == 200
        end(server)
        assert notes(tmp_path) == ["job 1", "job 2", *EXIT]
        assert (tmp_path / "records").read_text() == "a record\n"
        assert (tmp_path / "file").read_text() == "not flushed"
        left = 1 if how in ("HUP", "max-requests", "TERM to the worker") else 0
        server.until(lambda: len(list(tmp_path.glob("temporary-*"))) == left, "one still runs")
        assert "WARNING" not in server.log.replace("the arbiter is gone", "").replace(
            "[WARNING]", "", how == "the arbiter's death"
        )


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize(
    ("todo", "named"),
    [
        ("thread", "thread 'poller' at"),
        ("child", "(outliving) still ran"),
        ("exit_function", "an exit function, at"),
    ],
)
def test_what_does_not_end_is_named_and_ended(
    tmp_path: Path, todo: str, named: str, loop: str
) -> None:
    with serve(tmp_path, "--graceful-timeout", "0.3", "--loop", loop) as server:
        server.get(f"/{todo}")
        begun = time.monotonic()
        term(server)
        assert time.monotonic() - begun < 2.0  # before the arbiter loses its patience
        assert named in server.log
        assert "left after" in server.log
        server.until(lambda: not server.processes(), "nothing is left", timeout=1)


def test_quick_stop_of_a_worker_with_a_child(tmp_path: Path) -> None:
    with serve(tmp_path, "--graceful-timeout", "60") as server:
        server.get("/child")
        server.get("/thread")
        begun = time.monotonic()
        interrupt(server)
        assert time.monotonic() - begun < 2.5
        server.until(lambda: not server.processes(), "nothing is left", timeout=1)


# Processes of the application.


def test_a_child_that_is_terminated_does_not_take_its_worker_along(tmp_path: Path) -> None:
    """They shared the loop's wakeup descriptor, and the child the handler."""
    with serve(tmp_path) as server:
        (worker,) = server.workers()
        server.get("/terminated")
        assert notes(tmp_path) == ["terminated -15"]
        assert server.get("/").status == 200
        assert server.workers() == [worker]


@pytest.mark.parametrize("dispatch", ["least", "round-robin", "reuseport"])
@pytest.mark.parametrize(("kind", "loop"), [("sync", "asyncio"), ("thread", "uvloop")])
def test_a_forked_child_keeps_neither_port_nor_client(
    tmp_path: Path, dispatch: str, kind: str, loop: str
) -> None:
    options = ("-k", kind, "--loop", loop, "--dispatch", dispatch)
    with serve(tmp_path, *options, clean=False) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /forked HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            client.settimeout(5)
            while client.recv(4096):  # until the worker closes, while the child lives
                pass
        (worker,) = server.workers()
        (child,) = worker.children()
        server.until(lambda: notes(tmp_path), "the child has counted")
        assert notes(tmp_path)[0] in ("forked 0", "forked 2")  # asyncio's own pair
        worker.kill()
        server.wait_log("killed by SIGKILL")
        os.kill(server.pid, signal.SIGKILL)
        server.until(lambda: server.processes() == [child], "only the child is left")
        with socket.create_server(("127.0.0.1", server.port)):
            child.kill()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_a_copy_of_a_connection_does_not_keep_the_client(
    tmp_path: Path, kind: str, loop: str
) -> None:
    with serve(tmp_path, "-k", kind, "--loop", loop) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /forked_by_a_library HTTP/1.0\r\n\r\n")
            client.settimeout(5)
            while client.recv(4096):
                pass
        (child,) = server.workers()[0].children()
        child.kill()


def test_a_program_that_is_executed_has_no_socket(tmp_path: Path) -> None:
    with serve(tmp_path, "-w", "2", "--dispatch", "round-robin") as server:
        server.get("/executed")
        assert notes(tmp_path) == ["executed 0"]


# SIGTERM.


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("handler", ["import", "request"])
@pytest.mark.parametrize("how", ["TERM", "HUP", "TERM to the worker", "the arbiter's death"])
def test_a_handler_of_sigterm_is_called_once(
    tmp_path: Path, loop: str, handler: str, how: str
) -> None:
    end: Callable[[Server], None] = ENDS[how][0]
    environ = {"HANDLER": handler}
    with serve(tmp_path, "--loop", loop, env=environ, clean=False) as server:
        if handler == "request":
            server.get("/late_handler")
        server.get("/jobs")
        end(server)
        assert sorted(notes(tmp_path)) == ["SIGTERM True True", *sorted(EXIT), "job 1", "job 2"]
        assert notes(tmp_path)[-2:] == EXIT


def test_a_handler_that_exits_does_not_end_what_runs(tmp_path: Path) -> None:
    with serve(tmp_path, env={"HANDLER": "import", "EXITS": "1"}) as server:
        server.get("/jobs")
        term(server)
        assert notes(tmp_path) == ["SIGTERM True True", "job 1", "job 2", *EXIT]


# Signals to one worker, as gunicorn documents them.


def serve_kind(directory: Path, kind: str, *options: str) -> Server:
    name = "asgi" if kind in ("asgi", "uvicorn") else "app"
    app = f"tests.end_to_end.ending.{name}:app"
    return Server(app, "-k", kind, *options, directory=directory, cwd=directory)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (signal.SIGINT, "sync"),
        (signal.SIGQUIT, "thread"),
        (signal.SIGTERM, "sync"),
        (signal.SIGINT, "asgi"),
        (signal.SIGQUIT, "uvicorn"),
    ],
)
def test_a_signal_ends_one_worker(tmp_path: Path, number: signal.Signals, kind: str) -> None:
    with serve_kind(tmp_path, kind, "-w", "2") as server:
        gone = server.workers()[0]
        gone.send_signal(number)
        server.wait_log(f"{number.name}: this worker drains")
        psutil.wait_procs([gone], timeout=5)
        server.wait_log(") is ready", 3)
        assert gone not in server.workers()
        assert len(server.workers()) == 2


@pytest.mark.parametrize("kind", ["sync", "asgi"])
def test_usr1_has_one_worker_reopen_its_log(tmp_path: Path, kind: str) -> None:
    log = tmp_path / "access.log"
    with serve_kind(tmp_path, kind, "--access-logfile", str(log)) as server:
        server.get("/?one")
        server.until(lambda: "one" in log.read_text(), "it is logged")
        log.rename(tmp_path / "rotated.log")
        server.workers()[0].send_signal(signal.SIGUSR1)
        server.until(log.exists, "it is open anew")
        server.get("/?two")
        server.until(lambda: "two" in log.read_text(), "it is logged")
