"""Workers that the kernel kills because a limit of memory is reached."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from pyfork.system.oom_kills import OomKills
from tests.harness.server import Server

LIMIT = 256 << 20

EATER = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/eat":
        eaten = []
        while True:
            eaten.append(bytearray(b"x" * (1 << 20)))
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("0::/shop.service", "shop.service/memory.events"),
        ("0::/shop.service", "unified/shop.service/memory.events"),
        ("0::/", "memory.events"),  # a container with a namespace of its own
        ("0::/docker/4711", "memory.events"),
        ("4:cpu,memory:/shop", "memory/shop/memory.oom_control"),
        ("4:memory:/docker/4711", "memory/memory.oom_control"),
    ],
)
def test_each_kill_is_seen_once(tmp_path: Path, line: str, place: str) -> None:
    groups, counter = tmp_path / "cgroup", tmp_path / "mount" / place
    groups.write_text(f"9:name=systemd:/\n{line}\n")
    counter.parent.mkdir(parents=True)
    counter.write_text("low 0\noom 1\noom_kill 3\noom_group_kill 0\n")
    kills = OomKills(str(groups), str(tmp_path / "mount"))
    assert kills.known
    assert not kills.happened()
    counter.write_text("low 0\noom 2\noom_kill 5\n")
    assert [kills.happened() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("text", [None, "", "0::/\n", "4:memory:/\n"])
def test_nobody_counts(tmp_path: Path, text: str | None) -> None:
    groups = tmp_path / "cgroup"
    if text is not None:
        groups.write_text(text)
    kills = OomKills(str(groups), str(tmp_path / "mount"))
    assert not kills.known
    assert not kills.happened()


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with a limit, below this process's own; for root, where that can be."""
    own = Path("/sys/fs/cgroup/memory")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if ":memory:" in line:
            own /= line.split(":", 2)[2].lstrip("/")
    made = own / f"pyfork-test-{os.getpid()}"
    try:
        made.mkdir()
        (made / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError as error:
        pytest.skip(f"no control group with a limit can be made: {error}")
    yield made
    with suppress(OSError):
        made.rmdir()


def test_a_worker_that_the_limit_kills_is_said_to_be_so(tmp_path: Path, group: Path) -> None:
    (tmp_path / "eater.py").write_text(EATER)
    # A shell enters the group, and becomes the server.
    command = ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec python "$0" "$@"', "-m", "pyfork")
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with Server(
        "eater:app", directory=tmp_path, cwd=tmp_path, command=command, env=environ
    ) as server:
        server.workers()[0].kill()
        server.wait_log("killed by SIGKILL, not by the kernel for lack of memory")
        server.wait_log("is ready", 2)
        with pytest.raises((OSError, HTTPException)):
            server.get("/eat")
        server.wait_log("by the kernel: the control group of this server is out of memory")
        server.wait_log("is ready", 3)
        assert server.get("/").body == b"ok"
