"""What examples/docker/Dockerfile says, run without Docker: its environment, command and check.

As process 1 of a process namespace, on a file system of which only /tmp (here /mnt) can be
written, and as a user without a name and a home.
"""

import json
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.systemd.test_containers import STRANGER, readable, unshare_refusal
from tests.end_to_end.systemd.test_examples import DOCKERFILE, environment, instruction
from tests.harness.ports import free_port
from tests.harness.server import Server

pytestmark = pytest.mark.skipif(
    bool(unshare_refusal()), reason=f"no namespace: {unshare_refusal()}"
)

SHOP = """
def application(environ, start_response):
    print("printed by the application")
    start_response("200 OK", [])
    return [b"hello"]
"""
FREEZE = """
mount -t tmpfs none /mnt
chmod 1777 /mnt
for each in $(cut -d' ' -f2 /proc/mounts | grep -v '^/mnt$' | sort -ru); do
    mount -o remount,bind,ro $each 2>/dev/null
done
exec "$@"
"""
# It may read what root reads, so that the interpreter may be anywhere.
DROP = (
    *("env", "-u", "HOME", "-u", "USER", "setpriv", "--clear-groups"),
    *(f"--reuid={STRANGER}", f"--regid={STRANGER}"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
PYFORK = (sys.executable, "-m", "pyfork")


class Image(Server):
    """A container of that image, with a project in its working directory."""

    def __init__(self, *words: str, directory: Path, **more: Any) -> None:
        (directory / "shop").mkdir()
        (directory / "shop/wsgi.py").write_text(SHOP)
        readable(directory)
        super().__init__("", directory=directory, cwd=directory, **more)
        self.environ = environment() | self._environ | {"TMPDIR": "/mnt"}
        self.environ.pop("XDG_RUNTIME_DIR", None)
        self._environ = self.environ
        spaces = ["unshare", "--mount", "--fork", "--kill-child", "--pid", "--mount-proc"]
        entry, *options = [*instruction("ENTRYPOINT"), *(words or instruction("CMD"))]
        assert entry == "pyfork"
        self._command = [*spaces, "sh", "-c", FREEZE, "sh", *DROP, *PYFORK, *options]

    @property
    def init(self) -> psutil.Process:
        """Process 1, as seen from outside."""
        return psutil.Process(self.pid).children()[0]

    def workers(self) -> list[psutil.Process]:
        return self.init.children()

    def signal(self, number: int) -> None:
        with suppress(psutil.NoSuchProcess, IndexError):
            self.init.send_signal(number)

    def healthy(self) -> bool:
        """What its HEALTHCHECK says."""
        (check,) = [line for line in DOCKERFILE.splitlines() if line.startswith("    CMD [")]
        _, *words = json.loads(check.strip().removeprefix("CMD "))
        inside = ["nsenter", "-t", str(self.init.pid), "-m", "-p", "-w"]
        command = [*inside, *DROP, *PYFORK, *words]
        return subprocess.run(command, env=self.environ).returncode == 0

    def _end(self) -> list[psutil.Process]:
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.wait()
        return super()._end()


def test_it_runs_anywhere(tmp_path: Path) -> None:
    """Any user, nothing to write but /tmp, and where and how many as the environment says."""
    port = free_port()
    env = {"PORT": str(port), "WEB_CONCURRENCY": "2"}
    with Image(directory=tmp_path, env=env) as image:
        assert image.port == port
        socket.create_connection(("127.0.0.2", port)).close()  # on every address
        assert len(image.workers()) == 2
        assert {each.uids().real for each in image.workers()} == {STRANGER}
        assert "(pid 1) is starting" in image.log
        assert "WARNING" not in image.log
        assert image.get("/").body == b"hello"
        assert image.healthy()
        image.signal(signal.SIGTERM)
        assert image.wait() == 0


def test_what_it_says_is_there_at_once(tmp_path: Path) -> None:
    """On stdout and stderr, neither of them a terminal."""
    env = {"PORT": str(free_port()), "PYFORK_ACCESS_LOGFILE": "-"}
    with Image(directory=tmp_path, env=env) as image:
        image.get("/")
        image.until(lambda: "GET / HTTP/1.1" in image.out, "the access log is on stdout")
        image.until(lambda: "printed by the application" in image.out, "so is what is printed")
        assert "is ready" in image.log
