"""What a service manager is told, by the real command."""

import json
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.end_to_end.systemd.unit import Manager, Unit, deploy


def test_a_start_and_a_stop(manager: Manager, tmp_path: Path) -> None:
    with Unit("-w", "2", manager=manager, directory=tmp_path) as unit:
        ready = manager.hear("READY")
        assert ready == {
            "READY": "1",
            "MAINPID": str(unit.pid),
            "STATUS": "generation 1: 2 of 2 workers are ready",
        }
        assert manager.heard[0]["STATUS"].startswith("generation 1: ")  # while it booted
        assert json.loads(unit.get("/").body)["seen"] == []
        unit.signal(signal.SIGTERM)
        stopping = manager.hear("STOPPING")
        assert int(stopping["EXTEND_TIMEOUT_USEC"]) > 30_000_000
        assert unit.wait() == 0


def test_a_reload_that_succeeds(manager: Manager, tmp_path: Path) -> None:
    with Unit(manager=manager, directory=tmp_path) as unit:
        manager.hear("READY")
        deploy(tmp_path, "two")
        asked = time.monotonic()
        unit.signal(signal.SIGHUP)
        reloading = manager.hear("RELOADING")
        assert asked * 1e6 <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic() * 1e6
        assert manager.hear("READY")["STATUS"] == "generation 2: 1 of 1 workers are ready"
        # The old worker is told to leave at that moment; until it hears, it may take one more.
        unit.until(lambda: json.loads(unit.get("/").body)["text"] == "two", "the new code")


def test_a_reload_that_fails(manager: Manager, tmp_path: Path) -> None:
    with Unit(manager=manager, directory=tmp_path) as unit:
        manager.hear("READY")
        (tmp_path / "shop.py").write_text("raise RuntimeError('no\\nstock')\n")
        unit.signal(signal.SIGHUP)
        manager.hear("RELOADING")
        status = manager.hear("READY")["STATUS"]
        assert status.startswith("generation 1: 1 of 1 workers are ready; the last reload failed: ")
        assert "RuntimeError" in status
        assert unit.get("/").status == 200


def test_a_reload_that_is_refused_at_once(manager: Manager, tmp_path: Path) -> None:
    with Unit(manager=manager, directory=tmp_path) as unit:
        for _ in range(2):
            manager.hear("READY")
            (tmp_path / "pyfork.toml").write_text("workers = 'many'\n")
            unit.signal(signal.SIGHUP)
            manager.hear("RELOADING")
        assert "pyfork.toml: workers" in manager.hear("READY")["STATUS"]


def test_a_lost_worker_is_in_the_status(manager: Manager, tmp_path: Path) -> None:
    with Unit("-w", "2", manager=manager, directory=tmp_path) as unit:
        manager.hear("READY")
        unit.workers()[0].kill()
        assert "1 of 2" in manager.hear("STATUS")["STATUS"]
        assert "2 of 2" in manager.hear("STATUS")["STATUS"]


def test_an_upgrade_is_an_exec_that_keeps_the_main_process(
    manager: Manager, tmp_path: Path
) -> None:
    with Unit(manager=manager, directory=tmp_path) as unit:
        manager.hear("READY")
        worker = unit.workers()[0].pid
        unit.signal(signal.SIGUSR2)
        assert manager.hear("READY")["MAINPID"] == str(unit.pid)  # the new program has the floor
        manager.hear("RELOADING")
        assert "generation 2" in manager.hear("READY")["STATUS"]
        unit.until(lambda: worker not in {each.pid for each in unit.workers()}, "the old one left")
        assert json.loads(unit.get("/").body)["seen"] == []
        assert not manager.told("STOPPING")


def test_an_upgrade_by_spawn_names_the_new_main_process(manager: Manager, tmp_path: Path) -> None:
    watchdog = {"WATCHDOG_USEC": "200000"}
    with Unit("--upgrade-mode", "spawn", manager=manager, directory=tmp_path, env=watchdog) as unit:
        manager.hear("READY")
        old = str(unit.pid)
        unit.signal(signal.SIGUSR2)
        while (new := manager.hear("MAINPID")["MAINPID"]) == old:
            pass
        assert unit.wait() == 0
        assert not manager.told("STOPPING")
        assert {"MAINPID": new} in manager.heard  # from the one that was, whose word counts
        assert json.loads(unit.get("/").body)["text"] == "one"
        manager.hear("WATCHDOG")
        unit.until(lambda: _pids(unit) >= {int(new)}, "it lives")
        _stop(unit, int(new))
        manager.hear("STOPPING")


def _pids(unit: Unit) -> set[int]:
    return {each.pid for each in unit.processes()}


def _stop(unit: Unit, pid: int) -> None:
    next(each for each in unit.processes() if each.pid == pid).terminate()


def test_the_watchdog_hears_twice_in_its_time(manager: Manager, tmp_path: Path) -> None:
    with Unit(manager=manager, directory=tmp_path, env={"WATCHDOG_USEC": "200000"}):
        manager.hear("READY")
        manager.hear("WATCHDOG")
        for _ in range(5):
            before = time.monotonic()
            manager.hear("WATCHDOG")
            assert 0.05 < time.monotonic() - before < 0.2


def test_somebody_elses_watchdog_hears_nothing(manager: Manager, tmp_path: Path) -> None:
    env = {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}
    with Unit(manager=manager, directory=tmp_path, env=env) as unit:
        manager.hear("READY")
        unit.signal(signal.SIGTERM)
        manager.hear("STOPPING")
        assert unit.wait() == 0
        assert not manager.told("WATCHDOG")


@pytest.mark.parametrize("place", ["@", "relative", "vsock:2:1234", "/nowhere/notify"])
def test_a_manager_that_is_not_there_harms_nobody(tmp_path: Path, place: str) -> None:
    env = {"NOTIFY_SOCKET": place, "WATCHDOG_USEC": "100000"}
    with Unit(manager=None, directory=tmp_path, env=env) as unit:
        unit.signal(signal.SIGHUP)
        unit.wait_log("generation 2 serves")


def test_an_abstract_socket(tmp_path: Path) -> None:
    name = f"pyfork-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name)
        end.settimeout(15)
        with Unit(manager=None, directory=tmp_path, env={"NOTIFY_SOCKET": f"@{name}"}):
            while not end.recv(4096).startswith(b"READY=1\n"):
                pass


def test_a_manager_that_does_not_listen_is_told_later(manager: Manager, tmp_path: Path) -> None:
    with Unit("-w", "2", manager=manager, directory=tmp_path) as unit:
        for round in range(8):  # more messages than a datagram socket keeps
            unit.signal(signal.SIGHUP)
            unit.wait_log(f"generation {round + 2} serves")
        assert unit.get("/").status == 200
        while "generation 9: 2 of 2" not in manager.hear("READY")["STATUS"]:
            pass
