"""examples/cluster does what docs/cluster.md says."""

import subprocess
import sys
from pathlib import Path

from tests.harness.ports import free_port
from tests.harness.script import Script, ask
from tests.harness.server import ROOT

EXAMPLE = ROOT / "examples/cluster/server.py"


def test_three_processes_on_one_port_and_a_fourth_collides(tmp_path: Path) -> None:
    port = free_port()
    with Script(str(EXAMPLE), f"127.0.0.1:{port}", directory=tmp_path) as running:
        pids = running.pids()
        answers: set[int] = set()
        running.until(lambda: answers.add(ask(port)) or answers == pids, "all three answer")
        command = [sys.executable, str(EXAMPLE), f"127.0.0.1:{port}"]
        alone = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert "Address already in use" in alone.stderr
        with Script(str(EXAMPLE), f"127.0.0.2:{port}", directory=_beside(tmp_path)) as other:
            assert ask(port, "127.0.0.2") in other.pids()


def _beside(directory: Path) -> Path:
    made = directory / "other"
    made.mkdir()
    return made
