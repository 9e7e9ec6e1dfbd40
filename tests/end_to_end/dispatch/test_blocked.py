"""A worker that is blocked keeps nobody waiting."""

from pathlib import Path

import pytest

from tests.end_to_end.dispatch.clients import KINDS, Answers, burst, one_blocked
from tests.harness.server import Server

CLIENTS = 24
PROMPT = 1.0  # seconds: far from a minute, for a machine that does other things too


@pytest.mark.parametrize("kind", ["sync", "asgi"])
@pytest.mark.parametrize("policy", ["least", "shared", "round-robin"])
def test_nobody_waits_for_one_of_four(tmp_path: Path, policy: str, kind: str) -> None:
    options = ("-w", "4", "--dispatch", policy)
    with (
        Server(*KINDS[kind], *options, directory=tmp_path) as server,
        one_blocked(server, server.port) as blocked,
    ):
        answers = [burst(server.port, CLIENTS // 3) for _ in range(3)]
        print(policy, kind, [f"{each.longest:.3f}" for each in answers])
        assert max(each.longest for each in answers) < PROMPT
        assert not any(blocked in each.pids for each in answers)


def test_nobody_waits_for_a_worker_that_is_stopped(tmp_path: Path) -> None:
    """It has the fewest connections and looks free: the others soon see that it is not."""
    with Server(*KINDS["sync"], "-w", "2", "--timeout", "0", directory=tmp_path) as server:
        stopped, free = server.workers()
        stopped.suspend()
        try:
            answers: Answers = burst(server.port, CLIENTS)
            assert set(answers.pids) == {free.pid}
            assert answers.longest < PROMPT
        finally:
            stopped.resume()
        server.until(lambda: stopped.pid in burst(server.port, 8).pids, "it takes its share again")
