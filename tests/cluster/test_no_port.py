"""A script without a port, such as a bot or a scheduler: it is a worker like any other."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.cluster.test_bind import write
from tests.harness.ports import free_port
from tests.harness.script import Script, ask
from tests.harness.server import ROOT

BOT = """
print("bot", os.getpid(), flush=True)
threading.Event().wait()
"""


def status(running: Script, *options: str) -> str:
    command = [sys.executable, "-m", "pyfork", "status", *options, str(running.pid)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_it_is_ready_by_itself_replaced_and_reloaded(tmp_path: Path) -> None:
    options = ["--reload-parallel", "2"]  # both wait at the same time
    script = write(tmp_path, BOT)
    with Script(script, workers=2, options=options, directory=tmp_path) as running:
        assert running.log.count("no port after 5 s: ready without") == 1
        text = status(running)
        assert "runs server.py, no port" in text
        assert "no address" not in text
        assert text.splitlines()[-1].split()[6:9] == ["-", "-", "-"]
        for worker in json.loads(status(running, "--json"))["workers"]:
            assert worker["requests"] is worker["in_flight"] is worker["connections"] is None
        victim = min(running.pids())
        os.kill(victim, signal.SIGKILL)
        running.until(lambda: len(running.pids() - {victim}) == 2, "it is replaced")
        assert "requests" not in running.log
        assert "in flight" not in running.log
        running.signal(signal.SIGHUP)
        running.wait_log("generation 2 serves")
        running.wait_left(1)


def test_one_that_imports_for_long_is_not_ready_yet(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "heavy.py").write_text("import time\ntime.sleep(6)\n")
    text = f"import heavy\nstart(socket.create_server(('127.0.0.1', {port})))"
    with Script(write(tmp_path, text), workers=1, directory=tmp_path) as running:
        assert "no port" not in running.log
        assert ask(port) in running.pids()


def test_one_that_had_a_port_is_waited_for(tmp_path: Path) -> None:
    """A reload must not retire those that serve for one that does not listen yet."""
    port = free_port()
    listen = f"start(socket.create_server(('127.0.0.1', {port})))"
    with Script(write(tmp_path, listen), workers=1, directory=tmp_path) as running:
        pids = running.pids()
        write(tmp_path, f"import time; time.sleep(6)\n{listen}")
        running.signal(signal.SIGHUP)
        running.until(lambda: len(running.processes()) > 1 + len(pids), "the new one begins")
        running.wait_log("generation 2 serves")
        assert "no port" not in running.log
        running.wait_left(1)  # until then it may accept, too
        assert ask(port) in running.pids() - pids
