"""Sockets that a service manager passes."""

import json
import os
import signal
import socket
import stat
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.end_to_end.systemd.unit import Manager, Unit, deploy


def get(path: Path) -> str:
    """GET / over a unix socket; the text of the answer."""
    connection = HTTPConnection("unix", timeout=15)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("GET", "/")
    with connection.getresponse() as response:
        text: str = json.loads(response.read())["text"]
    connection.close()
    return text


def test_they_take_the_place_of_the_default(manager: Manager, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    sockets = ("http=127.0.0.1:0", f"admin={path}")
    with Unit(manager=manager, sockets=sockets, directory=tmp_path) as unit:
        assert unit.urls[1] == f"unix:{path}"
        assert json.loads(unit.get("/").body) == {"text": "one", "seen": []}
        assert get(path) == "one"
        assert f"systemd passed fd://3 (http): {unit.urls[0]}" in unit.log
        assert f"systemd passed fd://4 (admin): unix:{path}" in unit.log


@pytest.mark.parametrize("mode", ["exec", "spawn"])
def test_they_stay_through_reload_and_upgrade(mode: str, manager: Manager, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    sockets = ("http=127.0.0.1:0", f"admin={path}")
    options = ("--upgrade-mode", mode)
    with Unit(*options, manager=manager, sockets=sockets, directory=tmp_path) as unit:
        deploy(tmp_path, "two")
        unit.signal(signal.SIGHUP)
        unit.wait_log("generation 2 serves")
        deploy(tmp_path, "three")
        unit.signal(signal.SIGUSR2)
        if mode == "spawn":
            assert unit.wait() == 0
        else:
            unit.wait_log("left after", 2)
        assert json.loads(unit.get("/").body) == {"text": "three", "seen": []}
        assert get(path) == "three"
        _stop_all(unit)
        assert stat.S_ISSOCK(path.stat().st_mode)  # its file is systemd's


def _stop_all(unit: Unit) -> None:
    """Stop the arbiter, whichever it is by now."""
    everyone = unit.processes()
    children = {child.pid for each in everyone for child in each.children()}
    next(each for each in everyone if each.pid not in children).terminate()
    unit.until(lambda: not unit.processes(), "all have left")


def test_a_bind_of_ones_own_counts_more(manager: Manager, tmp_path: Path) -> None:
    sockets = ("http=127.0.0.1:0", "other=127.0.0.1:0")
    options = ("-b", "fd://4", "-b", "127.0.0.1:0")
    with Unit(*options, manager=manager, sockets=sockets, directory=tmp_path) as unit:
        assert len(unit.urls) == 2
        assert "systemd passed fd://3 (http), which no --bind names: it is closed" in unit.log
        assert f"systemd passed fd://4 (other): {unit.urls[0]}" in unit.log
        assert unit.get("/").status == 200
        listening = {each.laddr.port for each in _listening(unit)}
        assert listening == {int(url.rpartition(":")[2]) for url in unit.urls}


def _listening(unit: Unit) -> list:  # type: ignore[type-arg]
    everyone = unit.processes()
    found = [each for one in everyone for each in one.net_connections("inet")]
    return [each for each in found if each.status == "LISTEN"]


def test_a_file_counts_less(manager: Manager, tmp_path: Path) -> None:
    (tmp_path / "pyfork.toml").write_text('bind = ["127.0.0.1:1"]\n')
    with Unit(manager=manager, sockets=("http=127.0.0.1:0",), directory=tmp_path) as unit:
        assert unit.get("/").status == 200


def test_those_of_another_process_are_not_ours(manager: Manager, tmp_path: Path) -> None:
    env = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "PYFORK_BIND": ""}
    with Unit(manager=manager, directory=tmp_path, env=env) as unit:
        assert "systemd passed" not in unit.log
