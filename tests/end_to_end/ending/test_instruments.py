"""What is started around the whole command, and has registered its exit functions before the fork:
they are run in each worker.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.server import Server

BIN = Path(sys.executable).parent
TRACED = (
    str(BIN / "opentelemetry-instrument"),
    *("--traces_exporter", "console", "--metrics_exporter", "none", "--logs_exporter", "none"),
    *(sys.executable, "-m", "pyfork"),
)
COVERED = (sys.executable, "-m", "coverage", "run", "-p", "-m", "pyfork")


def end(server: Server, how: str) -> None:
    """By TERM of the arbiter, by a reload, or by the arbiter's death."""
    if how == "HUP":
        server.signal(signal.SIGHUP)
        server.wait_log("left after")
    elif how == "KILL":
        os.kill(server.pid, signal.SIGKILL)
        server.until(lambda: not server.processes(), "the worker has left")
    else:
        server.signal(signal.SIGTERM)
        server.wait()


@pytest.mark.parametrize("how", ["TERM", "HUP", "KILL"])
@pytest.mark.parametrize("name", ["app", "asgi"])
def test_opentelemetry_instrument_exports_every_span(tmp_path: Path, name: str, how: str) -> None:
    """Its processor exports every five seconds, and at the end."""
    app = f"tests.end_to_end.ending.traced:{name}"
    with Server(app, directory=tmp_path, command=TRACED, clean=False) as server:
        for number in range(3):
            assert server.get(f"/{number}").body == b"ok"
        end(server, how)
        for number in range(3):
            assert f'"name": "/{number}"' in server.out


@pytest.mark.parametrize("how", ["TERM", "HUP", "KILL"])
def test_coverage_run_has_what_workers_ran(tmp_path: Path, how: str) -> None:
    (tmp_path / "covered.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Length', '2')])\n"
        "    return [b'ok']\n"
    )
    server = Server("covered:app", directory=tmp_path, cwd=tmp_path, command=COVERED, clean=False)
    with server:
        assert server.get("/").body == b"ok"
        end(server, how)
        coverage = (sys.executable, "-m", "coverage")
        subprocess.run([*coverage, "combine", "-q"], cwd=tmp_path, check=True)
        subprocess.run([*coverage, "json", "-q"], cwd=tmp_path, check=True)
        report = json.loads((tmp_path / "coverage.json").read_text())
        assert report["files"]["covered.py"]["executed_lines"] == [1, 2, 3]
