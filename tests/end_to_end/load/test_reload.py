"""Reloads under load: what no client may notice."""

import signal
import time
from pathlib import Path

import pytest

from tests.harness.load import KINDS, Code, LoadProcess, reload, serve, wait_version

HUPS = 3

# What is short enough for a test of every day; the soak tests have the long ones.
QUICK = {"clients": 60, "think": 0.3, "pause": 0.2, "slowest": 0.3, "slow": 0.02, "stream": 0.02}


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_no_client_notices(tmp_path: Path, kind: str, workers: int) -> None:
    code = Code(tmp_path)
    with serve(code, kind, workers, tmp_path) as server:
        with LoadProcess(server.urls[0], seconds=30, **QUICK) as load:
            load.wait_answers()
            for generation in range(2, 2 + HUPS):
                reload(server, code, generation)
                wait_version(server, str(generation))
        assert load.report.losses == {}, load.report.incidents
        assert set(load.report.versions) <= {str(number) for number in range(1, 2 + HUPS)}


@pytest.mark.parametrize("kind", ["sync", "asgi-uvloop"])
def test_what_arrives_in_the_middle_of_a_handoff_is_answered(tmp_path: Path, kind: str) -> None:
    """Clients that hardly idle and stop within heads, on a unix socket."""
    busy = {"think": 0.02, "pause": 0.05, "halting": 0.7, "halt": 0.03, "pipelined": 0.3}
    code, path = Code(tmp_path), tmp_path / "socket"
    with serve(code, kind, 2, tmp_path, "-b", f"unix:{path}") as server:
        with LoadProcess(f"unix:{path}", seconds=30, clients=60, slow=0, **busy) as load:
            load.wait_answers()
            for generation in range(2, 2 + HUPS):
                reload(server, code, generation)
        assert load.report.losses == {}, load.report.incidents


def test_nobody_waits_for_an_application_that_takes_3_s_to_boot(tmp_path: Path) -> None:
    """With one worker, which is the hardest."""
    code = Code(tmp_path)
    with serve(code, "sync", 1, tmp_path) as server:
        # Nothing slow and nothing big, so that a wait is the server's.
        quick = {"think": 0.5, "slow": 0, "stream": 0}
        with LoadProcess(server.urls[0], seconds=30, clients=40, **quick) as load:
            load.wait_answers()
            code.write("2", boot=3.0)
            began = time.monotonic()
            server.signal(signal.SIGHUP)
            server.wait_log("generation 2 serves")
            assert time.monotonic() - began >= 3.0
            wait_version(server, "2")
        assert load.report.losses == {}, load.report.incidents
        assert load.report.longest_small < 0.5
