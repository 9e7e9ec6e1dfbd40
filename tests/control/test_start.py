"""``pyfork start`` and ``pyfork describe``, over real servers."""

import json
import re
from pathlib import Path

import pytest

from tests.harness.site import Site


@pytest.fixture
def here(site: Site) -> Site:
    site.environ |= {"XDG_STATE_HOME": str(site.directory / "state"), "SECRET_TOKEN": "hunter2"}
    return site


def log_of(site: Site, name: str) -> Path:
    return site.directory / "state" / "pyfork" / f"{name}.log"


def test_start_returns_when_the_server_serves_and_describe_shows_it(here: Site) -> None:
    done = here.command("start", "shop:app", "-n", "blue", "-b", "127.0.0.1:0", "--env", "K=v1")
    try:
        assert (done.returncode, done.stderr) == (0, "")
        found = re.fullmatch(
            r"blue \(pid (\d+)\) serves on 127.0.0.1:\d+; its output goes to (\S+)\n", done.stdout
        )
        assert found
        assert Path(found[2]) == log_of(here, "blue")
        assert "is ready after" in log_of(here, "blue").read_text()
        again = here.command("start", "shop:app", "-n", "blue")
        assert (again.returncode, again.stdout) == (1, "")
        assert again.stderr == f"pyfork: error: blue runs already (pid {found[1]})\n"
        described = json.loads(here.command("describe", "--json", "blue").stdout)
        assert described["status"]["name"] == "blue"
        start = described["start"]
        assert start["command"][-4:] == ["-b", "127.0.0.1:0", "--env", "K=v1"]
        assert start["logs"] == {"error": str(log_of(here, "blue")), "access": None}
        settings = {each["name"]: (each["value"], each["origin"]) for each in start["settings"]}
        assert settings["name"] == ("blue", "-n")
        assert settings["env"] == ("K", "--env")
        assert settings["backlog"] == ("2048", "default")
        text = here.command("describe", "blue").stdout
        assert "SECRET_TOKEN" in text
        assert "hunter2" not in text
    finally:
        assert here.command("stop", "--wait", "blue").returncode == 0


def test_start_tells_why_the_server_does_not_serve(here: Site) -> None:
    here.write("raise RuntimeError('no database')")
    done = here.command("start", "shop:app", "-n", "blue", "-b", "127.0.0.1:0")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the server ended with exit status 3; its log was:" in done.stderr
    assert "RuntimeError: no database" in done.stderr
    for words, message in (
        (("--control", "off"), "needs the control socket"),
        (("--version",), "--version starts no server"),
        (("--wokers", "2"), "--wokers: no such option"),
    ):
        wrong = here.command("start", "shop:app", *words)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert message in wrong.stderr


@pytest.mark.soak
def test_start_runs_a_script(here: Site) -> None:
    (here.directory / "server.py").write_text(
        "from http.server import HTTPServer, BaseHTTPRequestHandler\n"
        "HTTPServer(('127.0.0.1', 0), BaseHTTPRequestHandler).serve_forever()\n"
    )
    done = here.command("start", "run", "server.py", "-w", "2", "-n", "script", "--", "-b")
    try:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("script (pid ")
    finally:
        assert here.command("stop", "--wait", "script").returncode == 0
