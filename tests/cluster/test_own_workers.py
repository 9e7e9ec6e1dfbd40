"""Servers that start workers of their own and have no switch: these are part of pyfork's worker."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.harness.ports import free_port
from tests.harness.script import Script, ScriptLoad, ask

GUNICORN = """
import os, sys
from gunicorn.app.base import BaseApplication
from tests.cluster.servers import HOST

def wsgi(environ, start_response):
    text = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]

class Application(BaseApplication):
    def load_config(self):
        self.cfg.set("bind", f"{HOST}:{sys.argv[1]}")
        self.cfg.set("workers", 2)
        self.cfg.set("control_socket_disable", True)
    def load(self):
        return wsgi

Application().run()
"""

UVICORN = """
import sys
import uvicorn
from uvicorn.supervisors import Multiprocess
from tests.cluster.servers import HOST

if __name__ == "__main__":
    config = uvicorn.Config("tests.cluster.servers:asgi", host=HOST, port=int(sys.argv[1]))
    config.workers = 2  # past the switch
    Multiprocess(config, sockets=[config.bind_socket()]).run()
"""

DEVTOOLS = """
import os
from aiohttp import web

async def handle(request):
    return web.Response(text=str(os.getpid()))

def create_app():
    app = web.Application()
    app.add_routes([web.get("/", handle)])
    return app
"""


def serves(running: Script, port: int, count: int) -> None:
    """Children of the workers answer, ``count`` of them; they go with their worker."""
    workers = running.pids()
    with ScriptLoad(port, clients=6) as load:
        running.until(lambda: len(load.answers) == count, "all answer")
    answers = set(load.answers)
    assert not answers & workers
    victim = psutil.Process(min(workers))
    children = victim.children(recursive=True)
    os.kill(victim.pid, signal.SIGKILL)
    running.until(lambda: not any(each.is_running() for each in children), "they are gone")
    running.until(lambda: len(running.pids() - {victim.pid}) == len(workers), "it is replaced")
    running.until(lambda: ask(port) not in answers, "the new one answers")
    everyone = running.processes()
    running.signal(signal.SIGTERM)
    assert running.wait() == 0
    running.until(lambda: not any(each.is_running() for each in everyone), "all have ended")


@pytest.mark.parametrize("text", [GUNICORN, UVICORN], ids=["gunicorn.app.base", "uvicorn"])
def test_its_workers_end_with_ours(text: str, tmp_path: Path) -> None:
    """benoitc/gunicorn#2699, #3718; Kludex/uvicorn#533, #315."""
    (tmp_path / "server.py").write_text(text)
    port = free_port()
    with Script("server.py", str(port), workers=2, directory=tmp_path) as running:
        serves(running, port, 4)
        assert "Traceback" not in running.log


@pytest.mark.soak
def test_aiohttp_devtools(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp_devtools")
    (tmp_path / "app.py").write_text(DEVTOOLS)
    port, aux = free_port(), free_port()
    arguments = ("runserver", "app.py", "--port", str(port), "--aux-port", str(aux))
    with Script("-m aiohttp_devtools", *arguments, workers=2, directory=tmp_path) as running:
        serves(running, port, 2)
