"""gunicorn's procedure for an upgrade, as deploy scripts have it, and its way back.

https://docs.gunicorn.org/en/stable/signals.html: USR2, a pause, WINCH and TERM or QUIT to the old
process; or back, by HUP to the old one and TERM to the new one.
"""

import os
import signal
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from pyfork.system.environment import is_init_or_unit
from tests.end_to_end.upgrade.conftest import UpgradeSite, new_arbiter
from tests.harness.server import Server

# Boots once there is a file "go"; fails if that says so. A check imports it in its main process.
WAITING = """
import os, pathlib, time
if "PYFORK_WORKER" in os.environ:
    pathlib.Path(f"boots-{os.getpid()}").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    assert pathlib.Path("go").read_text() != "fail"
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    return [b"two"]
"""


def booting(yard: UpgradeSite) -> tuple[Server, psutil.Process]:
    """A server, and its new arbiter, which boots until there is a file "go"."""
    server = yard.begin("spawn")
    yard.write(WAITING)
    server.signal(signal.SIGUSR2)
    server.wait_log("a new arbiter")
    new = psutil.Process(new_arbiter(server))
    server.until(lambda: len(list(yard.directory.glob("boots-*"))) == 2, "its workers boot")
    return server, new


def go(yard: UpgradeSite, text: str = "") -> None:
    draft = yard.directory / "draft"
    draft.write_text(text)
    draft.rename(yard.directory / "go")


def test_term_to_the_old_one_while_the_new_one_boots(yard: UpgradeSite) -> None:
    server, new = booting(yard)
    server.signal(signal.SIGWINCH)
    server.wait_log("SIGWINCH: the workers leave when the new arbiter is ready")
    server.signal(signal.SIGTERM)
    server.wait_log("SIGTERM: the upgrade finishes first")
    assert server.get("/").body == b"one"
    go(yard)
    assert server.wait() == 0
    server.follow(new.pid)
    server.wait_log("the old arbiter has exited")
    assert server.get("/").body == b"two"
    assert yard.pid_file.read_text().strip() == str(new.pid)


def test_term_to_the_old_one_in_the_check(yard: UpgradeSite) -> None:
    server = yard.begin("spawn")
    yard.write(
        "import time, pathlib\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\n" + WAITING
    )
    server.signal(signal.SIGUSR2)
    server.wait_log("checking the new program")
    server.signal(signal.SIGTERM)
    server.wait_log("SIGTERM: the upgrade finishes first")
    go(yard)
    assert server.wait() == 0
    server.follow(new_arbiter(server))
    server.wait_log("the old arbiter has exited")
    assert server.get("/").body == b"two"


def test_term_to_the_old_one_and_the_new_one_fails(yard: UpgradeSite) -> None:
    server, _ = booting(yard)
    server.signal(signal.SIGTERM)
    server.wait_log("SIGTERM: the upgrade finishes first")
    go(yard, "fail")
    assert server.wait() == 0
    server.wait_log("upgrade: this arbiter stops now, as it was told")
    server.until(lambda: not server.processes(), "nothing is left", timeout=3)


def test_the_new_one_is_lost_while_the_old_one_drains(yard: UpgradeSite) -> None:
    """Told to leave, the old one does not carry on."""
    server, new = booting(yard)
    server.signal(signal.SIGTERM)
    server.wait_log("SIGTERM: the upgrade finishes first")
    with closing(server.connect()) as connection:
        connection.request("GET", "/?2")
        go(yard)
        server.wait_log("the new arbiter is ready, this one drains")
        new.kill()
        assert server.wait() == 0
    assert "resumes serving" not in server.log


@pytest.mark.parametrize("how", ["TERM", "INT", "QUIT", "pyfork stop"])
def test_what_ends_both(yard: UpgradeSite, how: str) -> None:
    server, _ = booting(yard)
    server.signal(signal.SIGTERM)
    server.wait_log("SIGTERM: the upgrade finishes first")
    if how == "pyfork stop":
        assert yard.command("stop", "shop").returncode == 0
    else:
        server.signal(getattr(signal, f"SIG{how}"))
    assert server.wait() == 0
    server.until(lambda: not server.processes(), "nothing is left", timeout=3)


def test_the_way_back(yard: UpgradeSite) -> None:
    server, new = booting(yard)
    server.signal(signal.SIGWINCH)
    yard.deploy("one")
    server.signal(signal.SIGHUP)
    server.wait_log("reload: generation 2 serves")
    os.kill(new.pid, signal.SIGTERM)
    server.wait_log("upgrade failed, this arbiter keeps serving")
    server.until(lambda: len(server.processes()) == 3, "it is alone")
    assert server.get("/").body == b"one"


def test_an_init_or_a_unit_is_stopped_at_once(
    yard: UpgradeSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who watches the process id has asked for the service's end."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    assert is_init_or_unit()
    server, _ = booting(yard)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    server.until(lambda: not server.processes(), "nothing is left", timeout=3)
