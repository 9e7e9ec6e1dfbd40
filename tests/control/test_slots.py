"""``pyfork restart``, ``drain`` and ``resume``, and what ``pyfork history`` tells of it."""

import json
import os
import re
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Any

import pytest

from tests.harness.site import Site

FAILS = """
raise RuntimeError("no database")
"""


def serving(site: Site, server: Any) -> dict[int, int]:
    """Process id by slot, of workers that serve."""
    workers = site.status(server)["workers"]
    return {each["slot"]: each["pid"] for each in workers if each["state"] == "serving"}


def history(site: Site, server: Any) -> list[dict[str, Any]]:
    done = site.command("history", "--json", str(server.pid))
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_restart_replaces_every_worker_by_one_of_the_same_generation(site: Site) -> None:
    server = site.serve("-w", "2", "-n", "blue")
    before = serving(site, server)
    done = site.command("restart", "--wait", "blue")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"blue (pid {server.pid}) has replaced workers"
    after = serving(site, server)
    assert set(after) == {0, 1}
    assert not set(after.values()) & set(before.values())
    assert site.status(server)["generation"] == 1
    one = site.command("restart", "--worker", "1", "--wait", "--json", "blue")
    assert json.loads(one.stdout.splitlines()[-1]) == {"ok": True, "workers": 1}
    assert serving(site, server)[0] == after[0]
    assert serving(site, server)[1] != after[1]
    server.until(lambda: len(history(site, server)) == 3, "all three have left")
    assert {each["reason"] for each in history(site, server)} == {
        "replaced: an operator asked for it"
    }
    assert site.status(server)["restarts"] == 0
    wrong = site.command("restart", "--worker", "2", "blue")
    assert wrong.returncode == 1
    assert "there is no slot 2: this server has 0 to 1" in wrong.stderr


def test_a_restart_that_fails_leaves_the_old_worker_and_says_why(site: Site) -> None:
    server = site.serve("-n", "blue")
    before = serving(site, server)
    site.write(FAILS)
    done = site.command("restart", "--wait", "blue")
    assert done.returncode == 1
    assert (
        "restart failed, the old worker keeps serving, and pyfork tries another one" in done.stderr
    )
    assert "RuntimeError: no database" in done.stderr
    assert serving(site, server) == before
    assert server.get("/").body == b"one"
    (entry, *_) = history(site, server)
    assert not entry["ok"]
    assert "no database" in entry["reason"]
    assert "no database" not in site.command("history", "--lines", "0", "blue").stdout
    assert "Traceback (most" in site.command("history", "--full", "blue").stdout
    site.deploy("two")
    server.until(lambda: server.get("/").body == b"two", "the fresh worker serves")


@pytest.mark.soak
def test_a_worker_that_hangs_is_seen_and_replaced(site: Site) -> None:
    """Its request hangs in the one thread that there is."""
    server = site.serve("-w", "2", "-n", "blue", "--timeout", "4", "--graceful-timeout", "1")
    client = threading.Thread(target=lambda: _ignore(lambda: server.get("/?60")))
    client.start()
    try:

        def busy() -> list[dict[str, Any]]:
            return [each for each in site.status(server)["workers"] if each["in_flight"]]

        server.until(busy, "the request runs")
        (hung,) = busy()
        done = site.command("restart", "--worker", str(hung["slot"]), "--wait", "blue")
        assert (done.returncode, done.stderr) == (0, "")
        assert serving(site, server)[hung["slot"]] != hung["pid"]
        server.until(lambda: history(site, server), "it has ended")
        (entry,) = history(site, server)
        assert entry["pid"] == hung["pid"]
        assert "1 request in flight, last GET /" in entry["in_flight"] or entry["ok"]
        assert site.command("list").returncode == 0
    finally:
        client.join()


def _ignore(do: Callable[[], object]) -> None:
    with suppress(OSError, HTTPException):
        do()


def test_drain_takes_a_slot_out_until_resume(site: Site) -> None:
    server = site.serve("-w", "2", "-n", "blue")
    done = site.command("drain", "--worker", "0", "--wait", "blue")
    assert done.stdout == (
        f"blue (pid {server.pid}): slot 0 is out of service until pyfork resume\n"
    )
    assert set(serving(site, server)) == {1}
    status = site.command("status", "blue")
    assert status.returncode == 0
    assert "slot 0 is drained, until pyfork resume" in status.stdout
    assert "serving: 1 of 1 worker" in status.stdout
    assert site.command("reload", "--wait", "blue").returncode == 0
    assert set(serving(site, server)) == {1}
    last = site.command("drain", "--worker", "1", "blue")
    assert (last.returncode, last.stdout) == (1, "")
    assert "no other worker serves: without slot 1 the port is lost" in last.stderr
    assert server.get("/").status == 200
    assert site.command("resume", "blue").stdout.endswith("serves slot 0 again\n")
    server.until(lambda: set(serving(site, server)) == {0, 1}, "slot 0 serves")
    assert "no slot is drained" in site.command("resume", "blue").stderr


def test_history_tells_how_workers_ended_and_survives_an_upgrade(site: Site) -> None:
    server = site.serve("-w", "1", "-n", "blue", "--upgrade-mode", "exec", clean=False)
    for _ in range(3):
        server.get("/")
    server.until(lambda: site.status(server)["requests"] == 3, "all are counted")
    os.kill(server.workers()[0].pid, signal.SIGSEGV)
    server.until(lambda: site.status(server)["restarts"] == 1, "it died")
    server.until(lambda: site.status(server)["ready"], "another one serves")
    assert site.command("reload", "--wait", "blue").returncode == 0
    assert site.command("upgrade", "--wait", "blue").returncode == 0
    server.until(lambda: site.status(server)["ready"], "all is well")
    death, *rest = history(site, server)
    assert (death["kind"], death["ok"], death["slot"], death["requests"]) == ("worker", False, 0, 3)
    assert death["reason"] == "killed by SIGSEGV"
    assert death["memory"] > 1 << 20
    assert [each["kind"] for each in rest if each["kind"] != "worker"] == ["reload", "upgrade"]
    assert all(each["ok"] for each in rest)
    assert site.status(server)["restarts"] == 1
    text = site.command("history", "blue").stdout
    assert re.match(r"[\d-]{10} [\d:]{8}  worker 0 \(generation 1, pid \d+\) died: ", text)
    assert re.search(r"  reload to generation 2 succeeded after \d+\.\d s$", text, re.M)
