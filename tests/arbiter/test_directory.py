"""Deploys that swap a link and remove the old release.

benoitc/gunicorn#394 (a reload serves the old code), emmett-framework/granian#629.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyfork.config.directory import Start, within
from pyfork.errors import ConfigError
from tests.end_to_end.upgrade.conftest import new_arbiter
from tests.harness.server import Server

APP = """
import os, settings
text = f"{settings.RELEASE} {os.path.basename(os.getcwd())}".encode()
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
"""


class Releases:
    """``releases/N``, and ``current``, a link to one of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.current = root / "current"

    def make(self, number: int, **files: str) -> Path:
        release = self.root / "releases" / str(number)
        release.mkdir(parents=True)
        # Modules are beside the application, and in a directory on PYTHONPATH.
        for name, text in {"shop": APP, **files}.items():
            (release / f"{name}.py").write_text(text)
        (release / "lib").mkdir()
        (release / "lib" / "settings.py").write_text(f"RELEASE = {number}")
        return release

    def deploy(self, number: int, **files: str) -> None:
        release = self.make(number, **files)
        link = self.root / "next"
        link.symlink_to(release)
        link.rename(self.current)

    def remove(self, number: int) -> None:
        shutil.rmtree(self.root / "releases" / str(number))

    @contextmanager
    def serve(self, *options: str, chdir: bool = False, **more: Any) -> Iterator[Server]:
        """From ``current``, by PWD, or from elsewhere by --chdir."""
        given = ("--chdir", str(self.current)) if chdir else ()
        place = self.root if chdir else self.current
        library = self.current / "lib"
        environ = {
            "PWD": str(place),
            "PYTHONPATH": f"{Path(__file__).parents[2]}:{library}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        server = Server(
            "shop:app", *given, *options, directory=self.root, cwd=place, env=environ, **more
        )
        with server:
            yield server


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    made = Releases(tmp_path)
    made.deploy(1)
    return made


def test_a_reload_enters_what_the_link_names_then(releases: Releases) -> None:
    with releases.serve("-w", "2") as server:
        assert server.get("/").body == b"1 1"
        for number in (2, 3):
            releases.deploy(number)
            releases.remove(number - 1)
            server.signal(signal.SIGHUP)
            server.wait_log(f"generation {number} serves")
            wanted = f"{number} {number}".encode()
            server.until(lambda w=wanted: server.get("/").body == w, "it serves")  # type: ignore[misc]


def test_chdir_is_followed_as_it_was_written(releases: Releases) -> None:
    """It says nothing of a PYTHONPATH, which names the link and is read through it."""
    with releases.serve(chdir=True) as server:
        assert server.get("/").body == b"1 1"
        releases.deploy(2)
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        server.until(lambda: server.get("/").body == b"2 2", "it serves")


def test_a_replacement_has_the_release_of_its_siblings(releases: Releases) -> None:
    with releases.serve("-w", "2") as server:
        releases.deploy(2)
        server.workers()[0].kill()
        server.wait_log(") is ready", 3)
        assert {server.get("/").body for _ in range(20)} == {b"1 1"}


def test_a_replacement_whose_release_is_gone_says_what_to_do(releases: Releases) -> None:
    with releases.serve("-w", "2") as server:
        releases.deploy(2)
        releases.remove(1)
        server.workers()[0].kill()
        gone = releases.root / "releases" / "1"
        server.wait_log(f"could not boot: cannot change to directory {gone}: No such file")
        server.wait_log(
            f"this generation runs from there, and {releases.current} is "
            f"{releases.root / 'releases' / '2'} now: reload (HUP) to serve that"
        )
        assert server.get("/").body == b"1 1"
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        server.until(lambda: server.get("/").body == b"2 2", "it serves")


@pytest.mark.parametrize("chdir", [False, True])
def test_a_reload_without_a_directory_changes_nothing(releases: Releases, chdir: bool) -> None:
    with releases.serve(chdir=chdir) as server:
        releases.current.unlink()
        server.signal(signal.SIGHUP)
        server.wait_log(str(releases.current))
        assert "reload refused" in server.log or "reload failed" in server.log
        assert server.get("/").body == b"1 1"
        releases.deploy(2)
        server.signal(signal.SIGHUP)
        server.wait_log(" serves\n")
        server.until(lambda: server.get("/").body == b"2 2", "it serves")


@pytest.mark.parametrize("mode", ["spawn", "exec"])
def test_an_upgrade_enters_what_the_link_names_then(releases: Releases, mode: str) -> None:
    with releases.serve("--upgrade-mode", mode) as server:
        releases.deploy(2)
        releases.remove(1)
        server.signal(signal.SIGUSR2)
        if mode == "spawn":
            server.wait_log("the old arbiter has exited")
            server.follow(new_arbiter(server))
        else:
            server.wait_log("generation 2 serves")
        server.until(lambda: server.get("/").body == b"2 2", "it serves")
        arbiter = Path(f"/proc/{server.pid}/cwd").resolve()
        assert arbiter == releases.root / "releases" / "2"


def test_an_upgrade_without_a_directory_changes_nothing(releases: Releases) -> None:
    with releases.serve("--upgrade-mode", "spawn") as server:
        releases.current.unlink()
        server.signal(signal.SIGUSR2)
        server.wait_log(f"{releases.current}, is not there")
        server.wait_log("upgrade failed, this arbiter keeps serving")
        assert server.get("/").body == b"1 1"


def test_relative_logs_are_the_releases(releases: Releases) -> None:
    options = ("--error-logfile", "error.log")
    log = releases.current / "error.log"
    with releases.serve(*options, log=log) as server:
        releases.deploy(2)
        server.signal(signal.SIGHUP)
        server.until(lambda: log.exists() and "generation 2 serves" in server.log, "it serves")


def test_a_script_is_the_one_of_the_new_release(releases: Releases) -> None:
    script = "import http.server, os, settings\nclass H(http.server.BaseHTTPRequestHandler):\n"
    script += "    def do_GET(self):\n        self.send_response(200)\n        self.end_headers()\n"
    script += "        self.wfile.write(str(settings.RELEASE).encode())\n"
    script += "http.server.HTTPServer(('127.0.0.1', int(os.environ['AT'])), H).serve_forever()\n"
    from tests.harness.ports import free_port

    port = free_port()
    releases.deploy(2, server=script)
    command = (sys.executable, "-m", "pyfork", "run")
    environ = {
        "PWD": str(releases.current),
        "AT": str(port),
        "PYTHONPATH": f"{Path(__file__).parents[2]}:{releases.current / 'lib'}",
    }
    with Server(
        "server.py",
        directory=releases.root,
        cwd=releases.current,
        env=environ,
        command=command,
        bind=False,
        ready=False,
    ) as server:
        server.wait_log("is ready")
        releases.deploy(3, server=script)
        releases.remove(2)
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")

        def answer() -> bytes:
            from urllib.request import urlopen

            with urlopen(f"http://127.0.0.1:{port}/") as response:
                return bytes(response.read())

        server.until(lambda: answer() == b"3", "the new one answers")


# The parts.


def test_pwd_counts_where_it_names_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "link")
    real = str(tmp_path / "real")
    link = str(tmp_path / "link")
    assert Start.of_process({"PWD": link}) == Start(link, real)
    assert Start.of_process({"PWD": "../link"}) == Start(real, real)
    assert Start.of_process({"PWD": str(tmp_path)}) == Start(real, real)
    assert Start.of_process({"PWD": "/nowhere"}) == Start(real, real)
    assert Start.of_process({}) == Start(real, real)


def test_the_path_of_imports_moves_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in ("1", "2"):
        (tmp_path / number / "lib").mkdir(parents=True)
    (tmp_path / "2" / "venv").mkdir()
    start = Start(str(tmp_path / "current"), str(tmp_path / "1"))
    (tmp_path / "current").symlink_to("2")
    monkeypatch.chdir(tmp_path)
    names = ("1", "1/lib", "current/venv", "1/missing", "10", "other")
    monkeypatch.setattr(sys, "path", ["", *(str(tmp_path / name) for name in names)])
    start.enter(None).enter()
    moved = ("2", "2/lib", "2/venv", "1/missing", "10", "other")
    assert sys.path == ["", *(str(tmp_path / name) for name in moved)]
    assert Path.cwd() == tmp_path / "2"


def test_the_root_is_no_place_to_move_from(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    with within("/"):
        Start("/", "/").enter(None).enter()
    assert sys.path == before


def test_within_a_directory_and_back_where_none_is_any_more(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with within(str(gone)):
        gone.rmdir()
        with within(str(tmp_path)):
            assert Path.cwd() == tmp_path
        with pytest.raises(FileNotFoundError):
            os.getcwd()
        assert Start.of_process({}) == Start("", "")
        with pytest.raises(ConfigError):
            Start.of_process({}).check()
