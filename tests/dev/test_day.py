"""A day's edits, one after the other, for each kind of application, with streams left open."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.dev.project import PATIENCE, Development, Project
from tests.dev.test_script import Stall
from tests.harness.server import Server

Answers = Callable[[int, str], object]


def edits(project: Project) -> Iterator[tuple[int, str]]:
    """Each is made when the next is asked for: which status and text have to come of it."""
    healed = iter(range(100))

    def heal() -> tuple[int, str]:
        text = f"healed {next(healed)}"
        project.price(text)
        return 200, text

    yield heal()
    project.write("goods/prices.py", "TEXT = missing\n")
    yield 500, "NameError"
    project.write("goods/prices.py", "TEXT = (\n")
    yield 500, "never closed"
    yield heal()
    project.write("extra/fresh.py", "TEXT = 'from a new module'\n")
    project.write("goods/prices.py", "from extra.fresh import TEXT\n")
    yield 200, "from a new module"
    project.delete("extra")
    yield 500, "No module named 'extra'"
    yield heal()
    os.rename(project.directory / "goods", project.directory / "wares")
    yield 500, "No module named 'goods'"
    os.rename(project.directory / "wares", project.directory / "goods")
    yield heal()
    project.write("goods/prices.py", "import time\ntime.sleep(0.3)\nTEXT = 'slow'\n")
    time.sleep(0.15)  # it is being loaded, or about to be
    yield heal()
    for number in range(100):
        project.price(f"save {number:3}")
        time.sleep(0.01)
    yield 200, "save  99"
    yield heal()


@contextmanager
def streams(server: Server) -> Iterator[None]:
    """An event stream and a WebSocket that a browser leaves open; both end after a save."""
    both_and_the_watcher = 3
    server.until(lambda: len(server.workers()) == both_and_the_watcher, "others left", PATIENCE)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as events:
        events.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"text/event-stream" in events.recv(4096)
        with suppress(ConnectionClosed), connect(f"ws://127.0.0.1:{server.port}/") as websocket:
            yield
            while True:
                websocket.recv(PATIENCE)
        with suppress(ConnectionResetError):
            while events.recv(65536):
                pass


@pytest.mark.soak
@pytest.mark.timeout(120)
@pytest.mark.parametrize("app", ["shop:app", "bazaar:app", "stall.py"])
def test_a_day(project: Project, app: str) -> None:
    with Stall(project) if app == "stall.py" else Development(project, app, "-w", "2") as server:
        answers: Answers = server.answers
        if not isinstance(server, Stall):

            def answers(status: int, text: str) -> None:
                assert server.answers(text).status == status

        day = edits(project)
        answers(*next(day))
        status = 200
        while status:
            serves = app == "bazaar:app" and status == 200
            with streams(server) if serves else nullcontext():
                status, text = next(day, (0, ""))
                if status:
                    answers(status, text)
                else:
                    project.price("the end")
        answers(200, "the end")
        assert "could not boot" not in server.log
