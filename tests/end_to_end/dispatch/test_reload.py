"""Reloads and upgrades under load, with every policy: no client notices."""

import signal
from pathlib import Path

import pytest

from tests.harness.load import Code, LoadProcess, reload, serve, wait_version
from tests.harness.server import Server

POLICIES = ["least", "shared", "round-robin", "reuseport"]
QUICK = {"clients": 60, "think": 0.3, "pause": 0.2, "slowest": 0.3, "slow": 0.02, "stream": 0.02}


@pytest.mark.parametrize("kind", ["sync", "asgi-uvloop"])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_reload_loses_nothing(tmp_path: Path, policy: str, kind: str) -> None:
    code = Code(tmp_path)
    with serve(code, kind, 4, tmp_path, "--dispatch", policy) as server:
        with LoadProcess(server.urls[0], seconds=30, **QUICK) as load:
            load.wait_answers()
            for generation in (2, 3):
                reload(server, code, generation)
                wait_version(server, str(generation))
        assert load.report.losses == {}, load.report.incidents


@pytest.mark.parametrize("policy", POLICIES)
def test_another_policy_loses_nothing(tmp_path: Path, policy: str) -> None:
    """From each to the next, to the one before, and back."""
    code = Code(tmp_path)
    settings = tmp_path / "pyfork.toml"
    at = POLICIES.index(policy)
    settings.write_text(f'dispatch = "{policy}"\n')
    with serve(code, "sync", 3, tmp_path, "-c", str(settings)) as server:
        with LoadProcess(server.urls[0], seconds=30, **QUICK) as load:
            load.wait_answers()
            for generation, following in enumerate((at + 1, at + 3, at), 2):
                settings.write_text(f'dispatch = "{POLICIES[following % len(POLICIES)]}"\n')
                reload(server, code, generation)
        assert load.report.losses == {}, load.report.incidents


@pytest.mark.parametrize("mode", ["exec", "spawn"])
@pytest.mark.parametrize("policy", ["round-robin", "reuseport"])
def test_an_upgrade_loses_nothing(tmp_path: Path, policy: str, mode: str) -> None:
    """Where the arbiter does more than to hold one listener."""
    code = Code(tmp_path)
    options = ("--dispatch", policy, "--upgrade-mode", mode)
    server: Server
    with serve(code, "sync", 3, tmp_path, *options) as server:
        with LoadProcess(server.urls[0], seconds=30, **QUICK) as load:
            load.wait_answers()
            code.write("2")
            server.signal(signal.SIGUSR2)
            if mode == "exec":
                server.wait_log("generation 2 serves")
            else:
                server.wait_log("this one drains")
                server.wait()
                server.wait_log("the old arbiter has exited")
                successor = min(server.processes(), key=lambda each: each.create_time())
            wait_version(server, "2")
        assert load.report.losses == {}, load.report.incidents
        if mode == "spawn":
            successor.terminate()
