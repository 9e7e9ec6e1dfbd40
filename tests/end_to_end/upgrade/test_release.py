"""A release of pyfork that does not run: an upgrade in place to it ends nothing that serves."""

import json
import shutil
import signal
from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.systemd.unit import Manager
from tests.end_to_end.upgrade.conftest import UpgradeSite
from tests.end_to_end.upgrade.test_failure import last, slow
from tests.harness.load import KINDS, Code, LoadProcess
from tests.harness.server import ROOT, Server

# What is wrong with it: a line of the arbiter, what stands there instead, and what is told of it.
FAULTS = {
    "import": (
        "log = ",
        "import nothing.at.all\nlog = ",
        "No module named 'nothing'",
        "arbiter.py",
    ),
    "saved state": (
        "    clients: tuple[int, ...] = ()",
        "    crown: int",
        "the state of the previous program is unusable",
        "upgrade/saved_state.py",
    ),
    "build": (
        "    takeover = Takeover(",
        "    raise RuntimeError('a component is missing')\n    takeover = Takeover(",
        "RuntimeError: a component is missing",
        "build.py",
    ),
}
# Only the image that counts, not the one that rehearses: files were exchanged between the two.
LATE = 'import os\nassert "exec:" not in os.environ.get("PYFORK_UPGRADE", ""), "half a release"\n'


class Release:
    """An installation of pyfork, which can be spoilt."""

    def __init__(self, directory: Path) -> None:
        self._arbiter = directory / "release" / "pyfork" / "arbiter"
        shutil.copytree(
            ROOT / "pyfork",
            self._arbiter.parent,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        path = f"{self._arbiter.parents[1]}:{ROOT}"
        self.env = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""}

    def spoil(self, fault: str) -> str:
        """Returns what will be told of it."""
        line, instead, told, file = FAULTS[fault]
        text = (self._arbiter / file).read_text()
        assert text.count(line) == 1
        self._put(file, text.replace(line, instead))
        return told

    def spoil_late(self) -> None:
        self._put("arbiter.py", LATE + (self._arbiter / "arbiter.py").read_text())

    def mend(self) -> None:
        for file in ("arbiter.py", "upgrade/saved_state.py", "build.py"):
            self._put(file, (ROOT / "pyfork" / "arbiter" / file).read_text())

    def _put(self, file: str, text: str) -> None:
        (self._arbiter / file).write_text(text)
        for old in (self._arbiter / file).parent.glob(f"__pycache__/{Path(file).stem}.*"):
            old.unlink()


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


@pytest.mark.timeout(120)
def test_under_load_nothing_is_lost(yard: UpgradeSite, release: Release) -> None:
    """Three releases that a rehearsal finds out, one that it does not, and at last a good one."""
    code = Code(yard.directory)
    app, kind = KINDS["thread"]
    env = yard.environ | code.env | release.env
    options = ("-w", "2", *kind, "--name", "shop", "--upgrade-mode", "exec")
    with (
        Server(app, *options, directory=yard.directory, cwd=yard.directory, env=env) as server,
        LoadProcess(server.urls[0], seconds=100, seed="1") as load,
    ):
        load.wait_answers()
        workers = server.workers()
        for fault in FAULTS:
            told = release.spoil(fault)
            done = yard.command("upgrade", "shop", "--wait")
            assert done.returncode == 1
            assert "the dry run of the new program ended with exit status 1" in done.stderr
            assert told in done.stderr
            assert told in server.log
            assert server.workers() == workers
            release.mend()
        release.spoil_late()
        waiting = yard.start("upgrade", "shop", "--wait", "--json")
        server.wait_log("the previous workers keep serving", 2)  # and so it was tried again
        assert "AssertionError: half a release" in server.log
        assert server.workers() == workers
        release.mend()
        server.wait_log("reload: generation 2 serves")
        out, _ = waiting.communicate(timeout=20)
        assert waiting.returncode == 0
        assert json.loads(out.splitlines()[-1]) == {"ok": True, "generation": 2}
        server.until(lambda: len(server.processes()) == 3, "the old ones have left")
    assert load.report.losses == {}
    assert load.report.counts["ok"] > 0


def test_told_to_stop_before_it_has_started(yard: UpgradeSite, release: Release) -> None:
    with closing(Manager(yard.directory)) as manager:
        env = release.env | {"NOTIFY_SOCKET": manager.place}
        server = yard.begin("exec", "--graceful-timeout", "10", env=env)
        release.spoil_late()
        server.signal(signal.SIGUSR2)
        server.wait_log("the previous workers keep serving")
        told = manager.hear("WATCHDOG", "STATUS")  # a restart would be an outage
        assert "the new program does not start" in told["STATUS"]
        with slow(server, 1.0) as answer:
            server.signal(signal.SIGTERM)
        manager.hear("STOPPING")
        assert answer == [b"one"]
        assert server.wait() == 0
        assert not server.processes()


def test_a_log_that_cannot_be_opened(yard: UpgradeSite) -> None:
    """A check does not open it."""
    server = yard.begin("exec")
    (yard.directory / "pyfork.toml").write_text('error_logfile = "nowhere/error.log"')
    done = yard.command("upgrade", "shop", "--wait")
    assert done.returncode == 1
    assert "the dry run of the new program ended with exit status 2" in done.stderr
    assert "cannot open nowhere/error.log" in last(yard, server)["detail"]
    assert server.get("/").body == b"one"
