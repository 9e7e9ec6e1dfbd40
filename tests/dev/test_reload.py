"""Real edits of a real project: the new code answers, and no connection is refused."""

import os
import re
import threading
import time
from http.client import HTTPConnection

import pytest

from tests.dev.project import PATIENCE, Development, Project

KINDS = {
    "sync": ("shop:app", "-w", "2"),
    "thread": ("shop:app", "-w", "2", "--threads", "3"),
    "asgi": ("bazaar:app", "-w", "2"),
    "uvicorn": ("bazaar:app", "-k", "uvicorn"),
    "round-robin": ("shop:app", "-w", "2", "--dispatch", "round-robin"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_is_answered_by_every_class_of_worker(project: Project, kind: str) -> None:
    with Development(project, *KINDS[kind]) as server:
        server.answers("one")
        project.price("two")
        server.answers("two")
        server.says(r"reloaded in \d+ ms: goods/prices\.py changed\n")


def test_modules_and_packages_come_and_go(project: Project) -> None:
    with Development(project, "shop:app") as server:
        project.write("extra/fresh.py", "TEXT = 'from a new module'\n")
        server.says(r"extra/fresh\.py (is new|changed)")  # if nobody watched yet, it is either
        project.write("goods/prices.py", "from extra.fresh import TEXT\n")
        server.answers("from a new module")
        project.delete("extra")
        server.answers("No module named 'extra'")
        project.price("healed")
        server.answers("healed")
        os.rename(project.directory / "goods", project.directory / "wares")
        server.answers("No module named 'goods'")
        shop = (project.directory / "shop.py").read_text()
        project.write("shop.py", shop.replace("from goods", "from wares"))
        server.answers("healed")
        project.write("wares/prices.py", "TEXT = 'in the renamed package'\n")
        server.answers("in the renamed package")


def test_noise_is_ignored(project: Project) -> None:
    with Development(project, "shop:app", "--reload-exclude", "attic,*_test.py") as server:
        server.answers("one")
        for name in (
            "goods/__pycache__/prices.cpython-311.pyc",
            ".git/hooks/hook.py",
            "node_modules/tool/setup.py",
            "goods/.prices.py.swp",
            "goods/.#prices.py",
            "goods/#prices.py#",
            "goods/prices.py~",
            "goods/prices.py.tmp",
            "goods/flycheck_prices.py",
            "attic/old.py",
            "goods/prices_test.py",
            "goods/.page.html.swp",
            "static/shop.css",
        ):
            project.write(name, "nothing of interest")
        project.write("env/pyvenv.cfg", "home = /usr")
        server.settle()
        project.write("env/lib/installed.py", "")  # only now is it known what env is
        server.settle()
        before = server.reloads()
        project.price("two")
        server.answers("two")
        assert (before, server.reloads()) == (0, 1)


def test_what_else_is_watched(project: Project) -> None:
    beside = project.directory.parent / "beside"
    beside.mkdir()
    extra = beside / "rates.csv"
    options = ("--reload-include", "*.yaml", "--reload-extra-file", str(extra))
    with Development(project, "shop:app", *options) as server:
        project.price("two")
        server.answers("two")
        project.write("rates.yaml", "a: 1")
        server.says(r"reloaded in \d+ ms: rates\.yaml is new")
        project.write(".env", "A=1")
        server.says(r"reloaded in \d+ ms: \.env is new")
        extra.write_text("1,2")
        server.says(r"reloaded in \d+ ms: \.\./beside/rates\.csv is new")
        project.write("pyfork.toml", "workers = 3\n")
        server.says(r"reloaded in \d+ ms: pyfork\.toml is new")
        server.until(lambda: server.log.count("generation 6, pid") >= 3, "there are three workers")


TEMPLATES = """\
from flask import Flask, render_template
from dotenv import dotenv_values

app = Flask(__name__)


@app.get("/")
def index():
    return render_template("index.html") + dotenv_values(".env").get("COLOUR", "")
"""


def test_a_template_that_flask_keeps_is_read_again(project: Project) -> None:
    project.write("web.py", TEMPLATES)
    project.write("templates/index.html", "<p>one")
    with Development(project, "web:app") as server:
        server.answers("<p>one")
        project.write("templates/index.html", "<p>two")
        server.answers("<p>two")
        project.write(".env", "COLOUR=red")
        server.says(r"reloaded in \d+ ms: \.env is new")
        server.answers("<p>twored")


def test_only_the_directories_that_are_named(project: Project) -> None:
    with Development(project, "shop:app", "--reload-dir", "goods") as server:
        shop = (project.directory / "shop.py").read_text()
        project.write("shop.py", shop + "\n")
        server.settle()
        assert server.reloads() == 0
        project.price("two")
        server.answers("two")


def test_many_files_are_one_reload(project: Project) -> None:
    with Development(project, "shop:app", "--reload-delay", "0.5") as server:
        for number in range(40):
            project.write(f"goods/part{number}.py", "")
        project.price("two")
        server.answers("two")
        server.says(r"reloaded in \d+ ms: \S+ (is new|changed) \(\+40\)")
        assert server.reloads() == 1


def test_a_hundred_saves_in_a_second(project: Project) -> None:
    """The last one counts, nobody is refused, and what was not needed is no error."""
    with Development(project, "shop:app", "-w", "2") as server:
        seen = _Watching(server)
        for number in range(100):
            project.price(f"save {number:3}")
            time.sleep(0.01)
        server.answers("save  99")
        seen.stop()
        server.settle()
        assert server.get("/").body == b"save  99"
        assert "[ERROR]" not in server.log


def test_a_save_during_a_reload(project: Project) -> None:
    """The newest code wins, and does not wait for that which it replaces."""
    with Development(project, "shop:app") as server:
        server.answers("one")
        loading = project.directory.parent / "loading"
        slow = f"import pathlib, time\npathlib.Path({str(loading)!r}).touch()\ntime.sleep(600)\n"
        project.write("goods/prices.py", slow)
        server.until(loading.exists, "the new code is being loaded", PATIENCE)
        assert server.get("/").body == b"one"
        project.price("quick")
        server.answers("quick")
        assert "reload: generation 2 is not needed any more" in server.log
        assert "[ERROR]" not in server.log


def test_a_first_start_that_hangs_is_healed(project: Project) -> None:
    project.write("goods/prices.py", "import time\ntime.sleep(600)\n")
    options = ("--boot-timeout", "0.4")
    with Development(project, "shop:app", *options, ready=False) as server:
        server.says(r"not ready within 0\.4 s")
        server.says(r"(?s)(worker 0.*not ready within.*){2}")  # it is tried again
        project.price("healed")
        server.until(lambda: "generation 2 serves" in server.log, "it serves", PATIENCE)
        server.answers("healed")


def test_a_request_that_computes_delays_nothing(project: Project) -> None:
    shop = (project.directory / "shop.py").read_text()
    busy = shop.replace("    body =", "    while environ['PATH_INFO'] == '/busy': pass\n    body =")
    project.write("shop.py", busy)
    with Development(project, "shop:app") as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        connection.request("GET", "/busy")
        server.until(lambda: _cpu(server) > 0.2, "it computes")
        began = time.monotonic()
        project.price("two")
        server.answers("two")
        server.says(r"generation 1, pid \d+\) died .* did not drain in time; 1 request in flight")
        assert time.monotonic() - began < PATIENCE
        connection.close()


def _cpu(server: Development) -> float:
    """Seconds that its busiest process has computed."""
    return max(sum(each.cpu_times()[:2]) for each in server.processes())


class _Watching(threading.Thread):
    """Asks all the time; a connection that fails is noted."""

    def __init__(self, server: Development) -> None:
        super().__init__()
        self._server = server
        self._over = threading.Event()
        self._failures: list[str] = []
        self._seen: list[str] = []
        self.start()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self._seen.append(self._server.get("/").body.decode())
            except OSError as error:
                self._failures.append(repr(error))
            self._over.wait(0.005)

    def stop(self) -> None:
        """No connection has failed, and nothing strange was answered."""
        self._over.set()
        self.join()
        assert not self._failures
        assert all(re.fullmatch(r"one|save [ \d]+", text) for text in self._seen)
