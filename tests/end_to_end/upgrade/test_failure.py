"""Upgrades that fail at every stage: the old one serves on, says why, and a later one succeeds."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.upgrade.conftest import UpgradeSite, new_arbiter
from tests.harness.server import ROOT, Server

# Fails where only a booting worker runs: a check imports the application in its main process.
IN_WORKERS = """
import os
if "PYFORK_WORKER" in os.environ:
    {code}
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    return [b"two"]
"""


def serves(server: Server, text: bytes = b"one") -> None:
    """At full strength, and nobody else is there."""
    server.until(lambda: len(server.processes()) == 3, "it is alone again")
    assert server.get("/").body == text


def last(yard: UpgradeSite, server: Server) -> dict[str, Any]:
    """How the last upgrade ended, by the status."""
    return dict(yard.status(server)["last_upgrade"])


def retried(yard: UpgradeSite, server: Server, mode: str = "spawn") -> None:
    """After all of it, good code takes over."""
    serves(server)
    yard.deploy("two")
    new = yard.upgrade(server, mode)
    assert new.get("/").body == b"two"


@pytest.mark.parametrize("mode", ["spawn", "exec"])
def test_a_check_that_fails_is_told_to_who_waits(yard: UpgradeSite, mode: str) -> None:
    server = yard.begin(mode)
    yard.write("1 / 0")
    done = yard.command("upgrade", "shop", "--wait")
    assert done.returncode == 1
    assert "upgrade failed, the old program keeps serving: the check of the new" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "ZeroDivisionError" in server.log
    assert "last upgrade failed" in yard.command("status", "shop").stdout
    (yard.directory / "pyfork.toml").write_text("workers = ")
    yard.deploy("one")
    server.signal(signal.SIGUSR2)
    server.wait_log("upgrade failed", 2)
    assert "pyfork.toml" in last(yard, server)["detail"]
    (yard.directory / "pyfork.toml").unlink()
    retried(yard, server, mode)


def test_an_interpreter_that_is_gone(yard: UpgradeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    python = yard.directory / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    shutil.copy(Path(sys.executable).parent.parent / "pyvenv.cfg", yard.directory / "env")
    python.symlink_to(os.path.realpath(sys.executable))
    site = Path(psutil.__file__).parents[1]
    (yard.directory / "env" / "lib").symlink_to(site.parents[1])
    monkeypatch.setattr(sys, "executable", str(python))
    server = yard.begin("spawn", env={"PYTHONPATH": f"{ROOT}:{site}"})
    monkeypatch.undo()
    python.rename(python.with_name("away"))
    server.signal(signal.SIGUSR2)
    server.wait_log("upgrade failed")
    assert "cannot execute" in last(yard, server)["detail"]
    python.with_name("away").rename(python)
    retried(yard, server)


def test_a_first_worker_that_fails(yard: UpgradeSite) -> None:
    server = yard.begin("spawn")
    yard.write(IN_WORKERS.format(code="1 / 0"))
    done = yard.command("upgrade", "shop", "--wait", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout.splitlines()[-1])
    assert "ZeroDivisionError" in answer["error"]
    assert "Traceback" in answer["detail"]
    retried(yard, server)


def test_a_worker_that_hangs(yard: UpgradeSite) -> None:
    server = yard.begin("spawn", "--boot-timeout", "0.6")
    yard.write(IN_WORKERS.format(code="import time; time.sleep(60)"))
    server.signal(signal.SIGUSR2)
    server.wait_log("upgrade failed")
    assert "not ready within 0.6 s" in last(yard, server)["error"]
    retried(yard, server)


def booting(yard: UpgradeSite, *options: str) -> Server:
    """A server whose new arbiter is still booting."""
    server = yard.begin("spawn", *options)
    yard.write(IN_WORKERS.format(code="import time; time.sleep(60)"))
    server.signal(signal.SIGUSR2)
    server.wait_log("starts")
    new = new_arbiter(server)
    server.until(lambda: psutil.Process(new).children(), "its workers boot")
    return server


def test_what_is_asked_while_a_successor_boots(yard: UpgradeSite) -> None:
    """A second upgrade is refused; all else is done at once; TERM to the new arbiter ends it."""
    server = booting(yard)
    server.signal(signal.SIGUSR2)
    server.wait_log("upgrade refused: an upgrade is under way already")
    assert yard.command("upgrade", "shop").returncode == 1
    server.signal(signal.SIGTTIN)
    yard.deploy("three")
    server.signal(signal.SIGHUP)
    server.wait_log("reload: generation 2 serves")
    # An old worker may answer one more client before it hears that it is to leave.
    server.until(lambda: server.get("/").body == b"three", "new code answers")
    os.kill(new_arbiter(server), signal.SIGTERM)
    server.wait_log("upgrade failed")
    assert "it was told to stop" in last(yard, server)["error"]
    serves(server, b"three")


def test_a_successor_that_is_killed(yard: UpgradeSite) -> None:
    server = booting(yard)
    workers = psutil.Process(new_arbiter(server)).children()
    os.kill(new_arbiter(server), signal.SIGKILL)
    server.wait_log("upgrade failed")
    psutil.wait_procs(workers, timeout=5)
    assert not any(worker.is_running() for worker in workers)  # though they are in an import
    retried(yard, server)


@pytest.mark.parametrize(
    ("number", "delay"), [(signal.SIGTERM, "0"), (signal.SIGTERM, "30"), (signal.SIGINT, "0")]
)
def test_a_stop_while_a_successor_boots(yard: UpgradeSite, number: int, delay: str) -> None:
    server = booting(yard, "--drain-delay", delay)
    if number == signal.SIGTERM:
        server.signal(number)
        server.wait_log("SIGTERM: the upgrade finishes first")
    server.signal(number)
    if delay != "0":
        server.wait_log("upgrade failed: the server is stopping")
        server.signal(number)
    assert server.wait() == 0
    server.until(lambda: not server.processes(), "nothing is left", timeout=3)


def test_a_stop_in_the_check(yard: UpgradeSite) -> None:
    server = yard.begin("exec")
    yard.write("import time; time.sleep(60)")
    server.signal(signal.SIGUSR2)
    server.wait_log("checking")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    server.until(lambda: not server.processes(), "nothing is left", timeout=3)


def test_a_reload_that_is_under_way(yard: UpgradeSite) -> None:
    """Exec waits for its end."""
    server = yard.begin("exec")
    yard.write(IN_WORKERS.format(code="import time; time.sleep(0.4)"))
    server.signal(signal.SIGHUP)
    server.wait_log("generation 2 boots")
    server.signal(signal.SIGUSR2)
    server.wait_log("generation 3 serves")
    log = server.log
    assert log.index("generation 2 serves") < log.index("becomes the new program")
    serves(server, b"two")


def test_new_workers_that_fail_after_an_exec(yard: UpgradeSite) -> None:
    server = yard.begin("exec")
    yard.write(IN_WORKERS.format(code="1 / 0"))
    before = server.workers()
    done = yard.command("upgrade", "shop", "--wait")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    # Who waits hears of it before the one that failed has ended.
    server.until(lambda: server.workers() == before, "they are as before")
    serves(server)
    before[0].kill()
    server.wait_log("could not boot")
    yard.deploy("two")  # whoever replaces it finds good code at the next try
    server.until(lambda: len(server.workers()) == 2, "both are there")
    server.signal(signal.SIGHUP)
    server.wait_log("reload: generation 3 serves")
    serves(server, b"two")


@pytest.mark.parametrize(
    "how", ["fails", "dies", "refused", pytest.param("hangs", marks=pytest.mark.soak)]
)
def test_a_takeover_that_does_not_succeed(yard: UpgradeSite, how: str) -> None:
    server = yard.begin("takeover", "--boot-timeout", "60" if how == "dies" else "0.6")
    yard.write(IN_WORKERS.format(code="1 / 0" if how == "fails" else "import time; time.sleep(60)"))
    new = yard.begin("takeover", "--takeover", ready=False, clean=False)
    if how == "dies":
        new.until(new.workers, "it boots")
        os.kill(new.pid, signal.SIGKILL)
    if how == "hangs":
        new.until(new.workers, "it boots")
        os.kill(new.pid, signal.SIGSTOP)
        server.wait_log("upgrade failed")
        os.kill(new.pid, signal.SIGCONT)
    if how == "refused":
        server.wait_log("another arbiter asks")
        second = yard.begin("takeover", "--takeover", ready=False)
        assert second.wait() == 1
        assert "refuses: an upgrade is under way already" in second.log
        new.signal(signal.SIGTERM)
    server.wait_log("upgrade failed")
    status = new.wait()
    assert status == {"fails": 3, "dies": -9, "hangs": 1, "refused": 0}[how]
    if how == "hangs":
        assert "the running server keeps serving: the new program took too long" in new.log
    assert int(yard.pid_file.read_text()) == server.pid
    retried(yard, server, "takeover")


def test_a_successor_that_dies_in_charge(yard: UpgradeSite) -> None:
    """The old one still drains: it carries on. Then again, but that one is told to stop."""
    server = yard.begin("spawn")
    with slow(server):
        server.signal(signal.SIGUSR2)
        server.wait_log("this arbiter is active")
        os.kill(new_arbiter(server), signal.SIGKILL)
        server.wait_log("this one resumes serving")
        server.until(lambda: len(server.workers()) >= 2, "it has workers")
        server.until(lambda: int(yard.pid_file.read_text()) == server.pid, "the pid file is its")
        assert server.get("/").body == b"one"
    serves(server)
    with slow(server):
        server.signal(signal.SIGUSR2)
        server.wait_log("this arbiter is active", 2)
        os.kill(new_arbiter(server), signal.SIGTERM)
        server.wait_log("this one stops too")
    assert server.wait() == 0
    assert not yard.pid_file.exists()


def test_term_to_one_that_yields_cuts_nothing(yard: UpgradeSite) -> None:
    """As deploy scripts for other servers do."""
    server = yard.begin("spawn")
    with slow(server) as answer:
        server.signal(signal.SIGUSR2)
        server.wait_log("this arbiter is active")
        server.signal(signal.SIGTERM)
        server.wait_log("SIGTERM")
        os.kill(new_arbiter(server), signal.SIGUSR2)
        server.wait_log("upgrade refused: the last upgrade is not over")
    assert answer == [b"one"]
    assert server.wait() == 0
    server.follow(new_arbiter(server))
    assert server.get("/").body == b"one"


def test_a_storm_of_signals(yard: UpgradeSite) -> None:
    """While the program is replaced, and before the new one has its handlers."""
    server = yard.begin("exec", "-w", "1")
    server.signal(signal.SIGUSR2)
    storm = (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGHUP)
    until = float("inf")
    while time.monotonic() < until:
        becoming = "this process becomes" in server.log
        for number in storm if becoming else storm[:3]:
            server.signal(number)
        if becoming and until == float("inf"):
            until = time.monotonic() + 0.6
        time.sleep(0.002)
    server.until(lambda: server.log.count(" is starting shop:app") == 2, "the new program runs")
    server.until(lambda: yard.status(server)["state"] == "serving", "it has settled")
    server.until(lambda: yard.status(server)["upgrade"] is None, "the upgrade is over")
    assert last(yard, server)["ok"]
    assert server.get("/").body == b"one"


class slow:
    """A request that runs while the block does, and for a while."""

    def __init__(self, server: Server, seconds: float = 2.0) -> None:
        import threading

        self.answer: list[bytes] = []
        self._server = server
        self._thread = threading.Thread(
            target=lambda: self.answer.append(server.get(f"/?{seconds}").body)
        )

    def __enter__(self) -> list[bytes]:
        self._thread.start()
        busy = "a worker is busy"
        self._server.until(lambda: self._server.workers(), busy)
        time.sleep(0.1)
        return self.answer

    def __exit__(self, *error: object) -> None:
        self._thread.join()
