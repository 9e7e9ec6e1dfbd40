"""kill -9 of any one process, at any moment of a reload or an upgrade."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.harness.load_site import LoadSite, seed
from tests.harness.server import is_fork_server

pytestmark = [pytest.mark.soak, pytest.mark.timeout(180)]

RUNS = 50
WORKERS = 2

# What is under way: the signal that begins it, or a takeover; options; and how long it may take
# (seconds).
UNDER_WAY: dict[str, tuple[signal.Signals | None, tuple[str, ...], float]] = {
    "hup": (signal.SIGHUP, (), 0.4),
    "usr2-spawn": (signal.SIGUSR2, ("--upgrade-mode", "spawn"), 1.5),
    "usr2-exec": (signal.SIGUSR2, ("--upgrade-mode", "exec"), 1.5),
    "takeover": (None, (), 1.0),
}


@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("under_way", UNDER_WAY)
def test_the_port_is_served_or_nothing_is_left(tmp_path: Path, under_way: str, part: int) -> None:
    """In the second part workers are forked by a fork server."""
    base = seed()
    for run in range(part * RUNS // 2, (part + 1) * RUNS // 2):
        directory = tmp_path / str(run)
        directory.mkdir()
        print(f"run {run} of seed {base}")
        more = ("--preload",) if part else ()
        once(directory, under_way, random.Random(f"{base}/{run}"), *more)


def once(directory: Path, under_way: str, chance: random.Random, *more: str) -> None:
    """One run: begin, wait, kill, and see what becomes of the port."""
    number, options, lasts = UNDER_WAY[under_way]
    with LoadSite(directory, "asgi-uvloop", WORKERS, *options, *more) as site:
        site.code.write("2", boot=chance.choice([0.0, 0.1]))
        if number is None:
            site.start("--takeover", ready=False)
        else:
            site.signal(number)
        time.sleep(chance.random() * lasts)  # the moment that is random, not a wait for something
        victims = sorted(site.processes(), key=lambda process: process.pid)
        victim = chance.choice(victims)
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it was about to leave anyway
            print(f"pid {victim.pid} of {[one.pid for one in victims]}: {victim.cmdline()}")
            os.kill(victim.pid, signal.SIGKILL)
        site.until(lambda: victim not in site.processes(), "the victim is dead")
        site.until(lambda: site.answers() or not site.processes(), "somebody serves", timeout=5.0)
        site.until(lambda: settled(site), "it has settled")
        site.until(lambda: site.answers() or not site.processes(), "somebody serves", timeout=5.0)


def settled(site: LoadSite) -> bool:
    """Whether one arbiter and its workers are left, with their fork server, or nothing."""
    left = site.processes()
    if not left:
        return True
    arbiter = site.arbiter
    if arbiter is None:
        return False
    servers = [each for each in left if is_fork_server(each)]
    others = {each.pid for each in left} - {each.pid for each in servers}
    workers = {each.pid for each in arbiter.children()} - {each.pid for each in servers}
    return (
        [each for each in site.arbiters() if each not in servers] == [arbiter]
        and len(servers) == site.preloads
        and len(workers) == WORKERS
        and others == {arbiter.pid} | workers
    )
