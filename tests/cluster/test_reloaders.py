"""Scripts that bring their own reloader or workers: these are off, and one line says so."""

import os
import signal
from pathlib import Path

import pytest

from tests.cluster.reloading import KINDS
from tests.harness.ports import free_port
from tests.harness.script import Script, ask

SCRIPT = str(Path(__file__).with_name("reloading.py"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_off(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WERKZEUG_RUN_MAIN", raising=False)
    port = free_port()
    with Script(SCRIPT, kind, str(port), workers=2, directory=tmp_path) as running:
        pids = running.pids()
        answers: set[int] = set()
        running.until(lambda: answers.add(ask(port)) or answers == pids, "both workers answer")
        assert running.out.count("process") == 2, "the script runs once in each worker"
        assert running.log.count(KINDS[kind][1]) == 1
        victim = min(pids)
        os.kill(victim, signal.SIGKILL)
        running.until(lambda: len(running.pids() - {victim}) == 2, "it is replaced")
        assert ask(port)


def test_a_script_is_run_again_as_a_script(tmp_path: Path) -> None:
    """Flask's debug=True started an arbiter inside of the arbiter."""
    (tmp_path / "server.py").write_text(
        "import socket, sys, threading\n"
        "print(sys.orig_argv[1:], flush=True)\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "threading.Event().wait()\n"
    )
    with Script("server.py", "x", workers=1, directory=tmp_path) as running:
        running.until(lambda: running.out, "it runs")
        assert running.out == f"['{tmp_path}/server.py', 'x']\n"
