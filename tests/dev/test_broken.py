"""A save that breaks the application changes the answer, and the next one heals it."""

import json
import re
import socket
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.dev.project import PATIENCE, Development, Project
from tests.harness.server import Server

BREAKS = {
    "a name that is not there": ("goods/prices.py", "TEXT = missing\n", "NameError"),
    "a syntax error": ("goods/prices.py", "TEXT = (\n", "'(' was never closed"),
    "an import that is not there": ("goods/prices.py", "import nowhere\n", "nowhere"),
    "the end of the program": ("goods/prices.py", "import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "no application": ("shop.py", "TEXT = 'one'\n", "no attribute 'app' in shop"),
    "a thing that is no application": ("shop.py", "app = 3\n", "not a WSGI or ASGI application"),
    "a very long message": ("goods/prices.py", "raise ValueError('x' * 3_000_000)\n", "x" * 1000),
    "a very long line": ("goods/prices.py", f"missing  # {'x' * 3_000_000}\n", "NameError"),
    "a recursion": ("goods/prices.py", "def f(): f()\nf()\n", "RecursionError"),
    "an error without words": ("goods/prices.py", "raise BaseException\n", "BaseException"),
    "bytes that are no text": ("goods/prices.py", "TEXT = '\\udcff'.encode()\n", "surrogates"),
}


def test_every_way_to_break_it_is_answered_and_healed(project: Project) -> None:
    with Development(project, "shop:app", "-w", "2") as server:
        shop = (project.directory / "shop.py").read_text()
        for number, (name, text, told) in enumerate(BREAKS.values()):
            project.write(name, text)
            answer = server.answers(told)
            assert answer.status == 500
            assert answer.headers["Cache-Control"] == "no-store"
            project.write("shop.py", shop)
            project.price(f"healed {number}")
            assert server.answers(f"healed {number}").status == 200


def test_the_console_tells_each_break_once(project: Project) -> None:
    with Development(project, "shop:app", "-w", "3") as server:
        project.write("goods/prices.py", "TEXT = missing\n")
        server.answers("NameError")
        server.says(r"goods/prices\.py changed: clients get an error page")
        project.write("goods/prices.py", "TEXT = missing  # still\n")
        server.answers("# still")
        server.says(r"(?s)(clients get an error page.*){2}")
        assert server.log.count("Traceback (most recent call last)") == 2
        assert "could not boot" not in server.log
        assert "abandoned" not in server.log


def test_a_broken_first_start_is_healed(project: Project) -> None:
    project.write("goods/prices.py", "TEXT = missing\n")
    with Development(project, "shop:app", "-w", "2") as server:
        server.answers("NameError: name 'missing' is not defined")
        project.price("healed")
        server.answers("healed")


def test_a_lifespan_that_fails(project: Project) -> None:
    with Development(project, "bazaar:app", "--lifespan", "on") as server:
        server.answers("one")
        project.price("raise")
        assert server.answers("RuntimeError: the till is locked").status == 500
        project.price("fail")
        assert server.answers("the till is empty").status == 500
        project.price("healed")
        server.answers("healed")


@pytest.mark.parametrize("options", [(), ("--factory",)], ids=["worker class", "factory"])
def test_what_is_no_code_is_answered_too(project: Project, options: tuple[str, ...]) -> None:
    options = options or ("-k", "nowhere.Worker")
    with Development(project, "shop:app", *options) as server:
        assert server.answers("cannot").status == 500


def test_a_client_gets_what_it_asks_for(project: Project) -> None:
    project.write("goods/prices.py", "TEXT = missing\n")
    with Development(project, "shop:app") as server:
        browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        page = server.get("/", Accept=browser)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert b"<!doctype html>" in page.body
        curl = server.get("/", Accept="*/*")
        assert curl.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert b"NameError: name 'missing' is not defined" in curl.body
        client = server.get("/", Accept="application/json, text/html;q=0.5")
        assert client.headers["Content-Type"] == "application/json"
        told = json.loads(client.body)
        assert told["exceptions"][0]["type"] == "NameError"
        assert told["exceptions"][0]["frames"][0]["path"] == "goods/prices.py"
        head = server.request("HEAD", "/", headers={"Accept": browser})
        assert (head.status, head.body) == (500, b"")
        posted = server.request("POST", "/", b"x" * 100_000)
        assert posted.status == 500


def test_without_reload_no_client_sees_any_of_it(project: Project, tmp_path: Path) -> None:
    first, second, third = tmp_path / "first", tmp_path / "second", tmp_path / "third"
    for each in (first, second, third):
        each.mkdir()
    shop = (project.directory / "shop.py").read_text()
    with Server("shop:app", directory=first, cwd=project.directory) as server:
        project.write("shop.py", "app = missing\n")
        server.signal(1)
        server.wait_log("reload failed: generation 2 is abandoned")
        answer = server.get("/", Accept="text/html")
        assert (answer.status, answer.body) == (200, b"one")
        assert answer.headers["Pyfork-Fault"] is None
    project.write("shop.py", shop.replace("body =", "missing  #"))
    with Server("shop:app", directory=second, cwd=project.directory) as server:
        answer = server.get("/", Accept="text/html")
        assert answer.status == 500
        assert b"missing" not in answer.body
    project.write("shop.py", "app = missing\n")
    with Server("shop:app", directory=third, cwd=project.directory, ready=False) as server:
        assert server.wait() == 3


def test_open_streams_are_cut_a_second_after_the_save(project: Project) -> None:
    with Development(project, "bazaar:app", "-w", "2") as server:
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as stream:
            stream.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"text/event-stream" in stream.recv(4096)
            with connect(f"ws://127.0.0.1:{server.port}/") as websocket:
                assert websocket.recv() == "one"
                began = time.monotonic()
                project.price("two")
                server.answers("two")
                with pytest.raises(ConnectionClosed) as closed:
                    websocket.recv(PATIENCE)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012
            while _receive(stream):
                pass
            assert time.monotonic() - began > 0.9
        server.until(lambda: _left(server, 1) == 2, "the old workers have left", PATIENCE)
        assert "died" not in server.log


def _receive(stream: socket.socket) -> bytes:
    try:
        return stream.recv(65536)
    except ConnectionResetError:
        return b""


def _left(server: Server, generation: int) -> int:
    return len(re.findall(rf"generation {generation}, pid \d+\) left", server.log))
