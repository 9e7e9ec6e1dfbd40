"""The time for which a thread is ready and has no CPU is not the application's."""

import os
import subprocess
import sys
import threading
import time
from time import monotonic

import pytest

from pyfork.worker.offload.held_time import HeldTime
from tests.harness.server import PATIENCE


def test_a_thread_that_blocks_is_held_for_all_of_the_time() -> None:
    found: list[HeldTime] = []
    over = threading.Event()
    thread = threading.Thread(target=lambda: (found.append(HeldTime()), over.wait(PATIENCE)))
    thread.start()
    while not found:
        time.sleep(0.001)
    time.sleep(0.01)
    found[0].sample()
    started = monotonic()
    time.sleep(0.1)
    now = monotonic()
    assert found[0].held(started, now) == pytest.approx(now - started)
    over.set()
    thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells it")
def test_a_thread_that_has_to_share_its_core_is_not() -> None:
    """Beside three processes that compute on the same core."""
    core = min(os.sched_getaffinity(0))
    spin = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    others = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(3)]
    usual = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {core})
        held = HeldTime()
        deadline = monotonic() + PATIENCE
        while monotonic() < deadline:
            held.sample()
            started = monotonic()
            while (now := monotonic()) < started + 0.2:
                pass
            if held.held(started, now) < 0.6 * (now - started):
                return
        pytest.fail("all of the time counted")
    finally:
        os.sched_setaffinity(0, usual)
        for each in others:
            each.kill()
            each.wait()
