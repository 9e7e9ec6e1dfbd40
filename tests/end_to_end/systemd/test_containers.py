"""What a container takes away: users, homes, directories to write to."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import programs
from tests.end_to_end.systemd.unit import Unit, deploy

STRANGER = 54321  # a user id that no system knows
MIB = 1 << 20

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


class Stranger(Unit):
    """A unit whose user has no name and no home."""

    def __init__(self, *options: str, directory: Path, env: dict[str, str]) -> None:
        super().__init__(*options, manager=None, directory=directory, env=env)
        drop = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
        # It may read what root reads, so that the interpreter may be anywhere; and write nothing.
        drop += [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
        self._command = ["env", "-u", "HOME", "-u", "USER", *drop, *self._command]
        self._environ.pop("XDG_RUNTIME_DIR")


def readable(directory: Path) -> None:
    """Let anybody read below ``directory``, which pytest keeps for its own user."""
    while directory != directory.parent and not directory.stat().st_mode & 0o001:
        directory.chmod(directory.stat().st_mode | 0o055)
        directory = directory.parent


@needs_root
@pytest.mark.parametrize("temporary", ["/nowhere", "/proc", "own"])
def test_a_user_without_name_and_home(tmp_path: Path, temporary: str) -> None:
    readable(tmp_path)
    own = tmp_path / "tmp"
    own.mkdir()
    own.chmod(0o1777)
    env = {"TMPDIR": str(own) if temporary == "own" else temporary}
    with Stranger("-w", "2", directory=tmp_path, env=env) as unit:
        assert unit.get("/").status == 200
        assert {each.uids().real for each in unit.workers()} == {STRANGER}
        assert "WARNING" not in unit.log
        assert list(own.glob("pyfork-*/*.sock")) or temporary != "own"
        deploy(tmp_path, "two")
        unit.signal(signal.SIGHUP)
        unit.wait_log("generation 2 serves")


def unshare_refusal() -> str:
    if os.geteuid() != 0 or not programs.find("unshare"):
        return "it takes root and unshare"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    return tried.stderr.strip()


@pytest.mark.skipif(bool(unshare_refusal()), reason=f"no namespace: {unshare_refusal()}")
@pytest.mark.parametrize("writable", [False, True], ids=["nowhere", "tmp"])
def test_a_file_system_that_is_read_only(tmp_path: Path, writable: bool) -> None:
    options = ("--upgrade-mode", "exec", "--body-memory", "0")
    with ReadOnly(*options, directory=tmp_path, writable=writable) as unit:
        assert unit.get("/").status == 200
        # A body that memory should not keep needs a file.
        answer = unit.request("POST", "/", b"x" * MIB)
        assert (answer.status == 200) is writable
        assert unit.get("/").status == 200
        unit.signal(signal.SIGUSR2)
        unit.wait_log("generation 2 serves")
        assert json.loads(unit.get("/").body)["text"] == "one"
        inside = ["nsenter", "-t", str(unit.pid), "-m", "-w", sys.executable, "-m", "pyfork"]
        health = subprocess.run([*inside, "status", "--quiet", str(unit.pid)], env=unit.environ)
        assert (health.returncode == 0) is writable


class ReadOnly(Unit):
    """A unit that can write nowhere, or in /tmp alone."""

    def __init__(self, *options: str, directory: Path, writable: bool) -> None:
        super().__init__(*options, manager=None, directory=directory)
        self._environ.pop("XDG_RUNTIME_DIR")
        self.environ = self._environ | {"TMPDIR": "/mnt"}
        self._environ = self.environ
        mount = "mount -t tmpfs none /mnt; " if writable else ""
        freeze = (
            "for each in $(cut -d' ' -f2 /proc/mounts | sort -ru); do"
            "  mount -o remount,bind,ro $each 2>/dev/null; done; "
        )
        script = f'{freeze}{mount}exec env -u HOME "$@"'
        self._command = ["unshare", "--mount", "sh", "-c", script, "sh", *self._command]
