"""Reloads and rollbacks of preloaded applications under load: what no client may notice."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness.load import Code, LoadProcess, reload, serve, wait_version

QUICK = {"clients": 60, "think": 0.3, "pause": 0.2, "slowest": 0.3, "slow": 0.02, "stream": 0.02}


@pytest.mark.parametrize("kind", ["sync", "asgi-uvloop"])
def test_no_client_notices(tmp_path: Path, kind: str) -> None:
    code = Code(tmp_path)
    options = ("--preload", "--keep-previous", "-n", f"rolled-{kind}")
    with serve(code, kind, 2, tmp_path, *options) as server:
        with LoadProcess(server.urls[0], seconds=30, **QUICK) as load:
            load.wait_answers()
            reload(server, code, 2)
            wait_version(server, "2")
            for version in ("1", "2", "1"):
                began = time.monotonic()
                subprocess.run(
                    [sys.executable, "-m", "pyfork", "rollback", "--wait", str(server.pid)],
                    check=True,
                    timeout=30,
                )
                print(f"rolled back in {time.monotonic() - began:.3f} s, with the command's start")
                wait_version(server, version)
        assert load.report.losses == {}, load.report.incidents
        assert set(load.report.versions) <= {"1", "2"}
