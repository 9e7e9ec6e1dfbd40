"""``pyfork stack``: threads, tasks and what they serve, also of a worker that is blocked."""

import json
import os
import signal
import threading
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
import pytest

from pyfork.ctl import stack
from pyfork.ctl.client import ControlClient
from tests.harness.ports import free_port
from tests.harness.script import Script
from tests.harness.server import PATIENCE, Server
from tests.harness.site import Site

ASGI = """
import asyncio

async def waits_here(seconds):
    await asyncio.sleep(seconds)

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await waits_here(float(scope["query_string"] or 0))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""

SCRIPT = """
import asyncio

async def answer(reader, writer):
    writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", PORT)
    async with server:
        await server.serve_forever()

asyncio.run(main())
"""


BLOCKS = """
import os, time

def app(environ, start_response):
    while environ["PATH_INFO"] == "/slow" and not os.path.exists("go"):
        time.sleep(0.01)
    start_response("200 OK", [])
    return [b"ok"]
"""


def stacks(site: Site, server: Server, control: Path | None = None) -> list[dict[str, Any]]:
    """As the command has them, without a process for it."""
    connected = ControlClient(str(control or site.socket(server))).read_status(PATIENCE)
    try:
        workers, last = stack.ask(connected, None)
    finally:
        connected.close()
    assert last == {"ok": True}
    return workers


def ask(server: Server, target: str) -> threading.Thread:
    """A client whose response may never come."""

    def run() -> None:
        with suppress(OSError, HTTPException):
            server.get(target)

    client = threading.Thread(target=run)
    client.start()
    return client


def busy(site: Site, server: Server, count: int = 1) -> None:
    def running() -> bool:
        return sum(each["in_flight"] for each in site.status(server)["workers"]) == count

    server.until(running, "the requests run")


def functions(entry: dict[str, Any]) -> list[str]:
    return [place["function"] for place in entry["stack"]]


def test_threads_are_shown_with_what_they_serve(site: Site) -> None:
    server = site.serve("-k", "thread", "--threads", "4", "-n", "blue", "--graceful-timeout", "1")
    client = ask(server, "/slow?30")
    busy(site, server)

    def in_application() -> list[dict[str, Any]]:
        (worker,) = stacks(site, server)
        assert not worker["blocked"]
        return [each for each in worker["threads"] if functions(each)[0] == "app"]

    (serving,) = server.until(in_application, "a thread runs the application")
    assert serving["serves"]["method"] == "GET"
    assert serving["serves"]["target"] == "/slow?30"
    assert 0 <= serving["serves"]["age"] < 30
    assert serving["stack"][0]["file"] == str(site.directory / "shop.py")
    done = site.command("stack", "blue", "0")
    assert (done.returncode, done.stderr) == (0, "")
    shown = done.stdout
    assert ": GET /slow?30, " in shown
    assert 'in app: time.sleep(float(environ["QUERY_STRING"] or 0))' in shown
    server.signal(signal.SIGTERM)
    client.join()


def test_tasks_are_shown_with_what_they_serve(site: Site) -> None:
    site.write(ASGI)
    server = site.serve("-w", "2", "-n", "blue", "--graceful-timeout", "1")
    clients = [ask(server, f"/{number}?30") for number in range(3)]
    busy(site, server, 3)

    def waiting() -> set[str]:
        workers = stacks(site, server)
        assert [each["slot"] for each in workers] == [0, 1]
        tasks = [task for each in workers for task in each["tasks"] if task["serves"]]
        waits = [each for each in tasks if functions(each)[:2] == ["sleep", "waits_here"]]
        return {each["serves"]["target"] for each in waits}

    server.until(lambda: waiting() == {"/0?30", "/1?30", "/2?30"}, "all three are shown")
    (one,) = map(json.loads, site.command("stack", "--json", "--worker", "1").stdout.splitlines())
    assert one["slot"] == 1
    wrong = site.command("stack", "blue", "7")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "no stacks: slot 7 has none" in wrong.stderr
    server.signal(signal.SIGTERM)
    for client in clients:
        client.join()


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_a_blocked_worker_shows_its_stacks_and_goes_on(
    site: Site, preload: tuple[str, ...]
) -> None:
    site.write(BLOCKS)
    server = site.serve("-n", "blue", *preload)
    client = ask(server, "/slow")
    busy(site, server)
    try:
        (worker,) = stacks(site, server)
    finally:
        (site.directory / "go").touch()
        client.join()
    assert worker["blocked"]
    assert worker["doing"] == "GET /slow"
    assert worker["busy"] > 0
    assert "app" in {functions(each)[0] for each in worker["threads"]}
    (after,) = stacks(site, server)
    assert (after["pid"], after["blocked"]) == (worker["pid"], False)
    (own,) = [each for each in after["threads"] if each["name"] == "MainThread"]
    assert functions(own)[0] == "run"  # not the code that has answered
    assert server.get("/").status == 200


def test_a_worker_that_is_stopped_is_said_to_be(site: Site) -> None:
    server = site.serve("-w", "2", "-n", "blue", "--timeout", "0")
    held = site.status(server)["workers"][0]["pid"]
    os.kill(held, signal.SIGSTOP)
    try:
        first, second = stacks(site, server)
    finally:
        os.kill(held, signal.SIGCONT)
    assert "it is stopped" in first["error"]
    assert second["threads"]
    assert {each.pid for each in server.workers()} >= {held}
    assert psutil.Process(held).is_running()


def test_a_script_is_shown_with_the_tasks_of_its_loop(site: Site) -> None:
    (site.directory / "server.py").write_text(SCRIPT.replace("PORT", str(free_port())))
    control = site.directory / "control"
    options = ("--control", str(control))
    with Script("server.py", workers=1, options=options, directory=site.directory) as server:
        (worker,) = stacks(site, server, control)
    assert not worker["blocked"]
    assert "main" in {name for task in worker["tasks"] for name in functions(task)}
    assert "MainThread" in {each["name"] for each in worker["threads"]}


def test_what_faulthandler_writes_is_read() -> None:
    written = (
        'Thread 0x00007f10 [pool] (most recent call first):\n  File "/a b.py", line 3 in f\n\n'
        "Current thread 0x00007f11 (most recent call first):\n"
        '  File "<frozen x>", line ??? in g\n'
    )
    assert stack.threads(written) == [
        {
            "name": "pool",
            "ident": 0x7F10,
            "serves": None,
            "stack": [{"file": "/a b.py", "line": 3, "function": "f"}],
        },
        {
            "name": "",
            "ident": 0x7F11,
            "serves": None,
            "stack": [{"file": "<frozen x>", "line": 0, "function": "g"}],
        },
    ]
