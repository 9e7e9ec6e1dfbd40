"""``pyfork list``, over real servers: those of other tests are in it too."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.server import PATIENCE, Server, environment
from tests.harness.site import Site


def rows(site: Site) -> dict[int, dict[str, Any]]:
    """What ``pyfork list --json`` shows, by process id."""
    done = site.command("list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return {row["pid"]: row for row in map(json.loads, done.stdout.splitlines())}


def test_servers_of_this_machine(site: Site) -> None:
    """Two of one name, one with a socket elsewhere, one without; one that left its socket."""
    path = site.directory / "elsewhere.sock"
    gone = site.serve("-n", "gone", clean=False)
    gone.signal(signal.SIGKILL)
    gone.wait()
    twins = [site.serve("-n", "twin", "-w", "2"), site.serve("-n", "twin")]
    elsewhere = site.serve("-n", "elsewhere", "--control", str(path))
    mute = site.serve("-n", "mute", "--control", "off")
    found = rows(site)
    assert gone.pid not in found
    for server, workers in zip(twins, (2, 1), strict=True):
        row = found[server.pid]
        assert (row["name"], row["app"], row["state"]) == ("twin", "shop:app", "serving")
        assert (row["workers"], row["workers_wanted"], row["generation"]) == (workers, workers, 1)
        assert row["addresses"] == [f"127.0.0.1:{server.port}"]
        assert row["memory"] > 1 << 20
        assert row["cpu_percent"] >= 0
    assert found[elsewhere.pid]["name"] == "elsewhere"
    assert found[mute.pid]["state"] == "no control socket"
    text = site.command("ls").stdout
    assert text.splitlines()[0].split()[:4] == ["name", "pid", "application", "addresses"]
    assert f"127.0.0.1:{twins[0].port}" in text
    assert site.command("status", "elsewhere").returncode == 0


def test_what_happens_is_in_the_list(site: Site) -> None:
    """Restarts after deaths, and requests of workers that have ended; a reload is neither."""
    server = site.serve("-w", "2", "-n", "blue")
    for _ in range(5):
        server.get("/")
    site.status(server)
    assert site.command("reload", "--wait", str(server.pid)).returncode == 0
    server.until(lambda: len(server.workers()) == 2, "the old workers have left")
    assert site.status(server)["requests"] == 5
    assert site.status(server)["restarts"] == 0
    server.workers()[0].kill()
    server.until(lambda: site.status(server)["restarts"] == 1, "the death is counted")
    assert rows(site)[server.pid]["restarts"] == 1


def test_an_arbiter_that_hangs(site: Site) -> None:
    server = site.serve("-n", "hung")
    server.signal(signal.SIGSTOP)
    try:
        assert rows(site)[server.pid]["state"] == "does not answer"
    finally:
        server.signal(signal.SIGCONT)


@pytest.mark.soak
def test_watch_shows_rates_and_goes_on_until_interrupted(site: Site) -> None:
    server = site.serve("-n", "watched")
    watching = site.start("list", "--watch", "--json")
    assert watching.stdout
    seen: list[dict[str, Any]] = []
    while len(seen) < 2 or not seen[-1]["requests_per_second"]:
        server.get("/")
        row = json.loads(watching.stdout.readline())
        seen += [row] if row["pid"] == server.pid else []
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=PATIENCE)
    assert (watching.returncode, err) == (0, "")


@pytest.mark.soak
@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees, and becomes, other users")
def test_root_sees_another_users_server_and_others_do_not(site: Site) -> None:
    directory = Path("/tmp") / f"pyfork-test-{os.getpid()}"
    directory.mkdir(mode=0o755)
    try:
        shutil.copy(site.directory / "shop.py", directory)
        logs = directory / "logs"
        logs.mkdir()
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        os.chown(directory, 65534, 65534)
        with Server(
            "shop:app",
            "-n",
            "theirs",
            directory=logs,
            cwd=directory,
            env={"XDG_RUNTIME_DIR": str(directory)},
            command=(*as_nobody, sys.executable, "-m", "pyfork"),
        ) as theirs:
            ours = site.serve("-n", "ours")
            found = rows(site)
            assert (found[theirs.pid]["name"], found[ours.pid]["name"]) == ("theirs", "ours")
            listed = subprocess.run(
                [*as_nobody, sys.executable, "-m", "pyfork", "list", "--json"],
                cwd=directory,
                env=environment() | {"XDG_RUNTIME_DIR": str(directory)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            pids = {json.loads(line)["pid"] for line in listed.splitlines()}
            assert theirs.pid in pids
            assert ours.pid not in pids
    finally:
        shutil.rmtree(directory)
