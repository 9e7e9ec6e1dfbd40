"""Requests that have waited for longer than --max-queue-time are answered with 503, and not run."""

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from pyfork.http.connection.queue_time import request_start
from tests.end_to_end.dispatch.clients import KINDS
from tests.harness.client import Wire, request
from tests.harness.server import Server

LIMIT = 0.8  # seconds
LONG = 1.5 * LIMIT
KIND = {**KINDS, "thread": ("tests.end_to_end.dispatch.app:wsgi", "-k", "thread")}
OPTIONS = ("--max-queue-time", f"{LIMIT}", "--priority-path", "/live*,/ready")
LOG = ("--access-logfile", "-", "--access-logformat", "%(r)s %(s)s %(Q)s")
BODY = ("POST", "/", "Content-Length: 4")


def test_late_requests_are_refused_but_on_priority_paths(tmp_path: Path) -> None:
    """By each kind of worker, at the same time."""
    with ThreadPoolExecutor(len(KIND)) as pool:
        list(pool.map(lambda kind: refuses_late_requests(tmp_path / kind, kind), KIND))


def refuses_late_requests(tmp_path: Path, kind: str) -> None:
    tmp_path.mkdir()
    options = (*OPTIONS, *LOG, "--control", str(tmp_path / "control"))
    with Server(*KIND[kind], *options, directory=tmp_path) as server, ExitStack() as stack:
        slow, kept, live, ready, posting, fresh = (
            stack.enter_context(Wire(server.port)) for _ in range(6)
        )
        assert kept.get("/").status == 200
        slow.send(request("GET", f"/block?s={LONG}"))
        server.until(lambda: "blocked" in server.out, "it is blocked")
        kept.send(request("GET", "/"))
        live.send(request("GET", "/live/1"))
        ready.send(request("GET", "/ready?quick"))
        posting.send(request(*BODY) + b"body")
        assert slow.read().status == 200
        assert [each.read().status for each in (live, ready)] == [200, 200]
        for late in (kept, posting):
            answer = late.read()
            assert (answer.status, answer.body) == (503, b"Service Unavailable\n")
            assert answer.headers["retry-after"] == "1"
            assert late.get("/").status == 200  # the connection is kept
        assert fresh.get("/").status == 200  # it was there all the time, and has not waited
        server.until(lambda: server.out.count("GET / ") >= 5, "all are logged")
        waits = re.findall(r"GET / HTTP/1.1 503 ([\d.]+)\n", server.out)
        assert [LIMIT < float(each) < LONG + 10 for each in waits] == [True]
        server.wait_log("answered with 503: ")
        server.until(lambda: longest(server) > LIMIT, "status has the longest wait")


def longest(server: Server) -> float:
    command = (sys.executable, "-m", "pyfork", "status", "--json", server.directory / "control")
    status = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    return max(float(each["queue_time"]) for each in status["workers"])


def test_time_in_a_proxy_counts_if_it_is_trusted(tmp_path: Path) -> None:
    past = f"X-Request-Start: t={time.time() - 60:.3f}"
    for trusted, status in (("127.0.0.1", 503), ("192.0.2.1", 200)):
        (directory := tmp_path / trusted).mkdir()
        options = (*OPTIONS, "--forwarded-allow-ips", trusted)
        with (
            Server(*KIND["asgi"], *options, directory=directory) as server,
            Wire(server.port) as wire,
        ):
            assert wire.get("/", past).status == status
            assert wire.get("/ready", past).status == 200
            assert wire.get("/").status == 200


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (b"Host: a\r\nX-Request-Start: t=1700000000.250\r\n", 1700000000.25),
        (b"x-queue-start: 1700000000250\r\n\r\n", 1700000000.25),
        (b"X-Request-Start:t=1700000000250000\r\n", 1700000000.25),
        (b"X-Request-Start: 1700000000250000000\r\nA: 1\r\n", 1700000000.25),
        (
            b"X-Request-Start: t=1600000000\r\nX-Request-Start: t=1700000000, t=1700000001\r\n",
            1700000001,
        ),
        (b"X-Request-Start: soon\r\n", None),
        (b"A: X-Request-Start: 1700000000\r\n", None),
        (b"\r\n", None),
    ],
)
def test_the_time_that_a_proxy_names(fields: bytes, found: float | None) -> None:
    assert request_start(fields) == pytest.approx(found, abs=1e-6)
