"""``pyfork sockets``: who holds the listening socket, and what waits in it."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.test_bind import write
from tests.harness.ports import free_port
from tests.harness.script import Script, ask
from tests.harness.server import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def sockets(running: Script, *options: str) -> str:
    command = [sys.executable, "-m", "pyfork", "sockets", *options, str(running.pid)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_one_socket_is_shared_by_all(tmp_path: Path) -> None:
    port = free_port()
    script = write(tmp_path, f'serve(socket.create_server(("127.0.0.1", {port}), backlog=77))')
    with Script(script, directory=tmp_path) as running:
        ask(port)
        for pid in running.pids():
            os.kill(pid, signal.SIGSTOP)
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        try:
            (one,) = [
                each
                for each in json.loads(sockets(running, "--json"))["sockets"]
                if each["address"] == f"127.0.0.1:{port}"
            ]
            text = sockets(running)
        finally:
            for pid in running.pids():
                os.kill(pid, signal.SIGCONT)
            for each in waiting:
                each.close()
        assert (one["kind"], one["owner"], one["limit"]) == ("tcp", "arbiter", 77)
        assert one["queue"] == 5
        sharing = {each["pid"]: each["name"] for each in one["shared_by"]}
        assert sharing.keys() == {running.pid, *running.pids()}
        assert sorted(sharing.values()) == ["arbiter", "worker 0", "worker 1", "worker 2"]
        assert f"127.0.0.1:{port}" in text
        assert text.split()[:4] == ["address", "kind", "inode", "owner"]
