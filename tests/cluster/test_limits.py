"""Limits of a script: how long, how many, how much."""

from pathlib import Path

import pytest

from tests.cluster.test_bind import write
from tests.end_to_end.dispatch.clients import connect
from tests.harness.ports import free_port
from tests.harness.script import Script, ask

KEEPING = str(Path(__file__).with_name("keepalive_script.py"))


@pytest.mark.parametrize(("kind", "policy"), [("asyncio", "shared"), ("plain", "round-robin")])
def test_one_that_does_not_come_back_to_accept_is_replaced(
    kind: str, policy: str, tmp_path: Path
) -> None:
    port = free_port()
    options = ["--timeout", "1", "--dispatch", policy]
    with Script(
        KEEPING, kind, str(port), workers=2, options=options, directory=tmp_path
    ) as running:
        pids = running.pids()
        with connect(port, b"/block?s=60"):
            running.wait_log("hangs: gave no sign of life for 1 s")
            running.wait_log("is ready", 3)
        assert "in block" in running.log  # where it hung
        assert len(running.pids() & pids) == 1  # who waited for connections all the time


def test_one_that_has_accepted_enough_is_replaced(tmp_path: Path) -> None:
    port = free_port()
    script = write(tmp_path, f'start(socket.create_server(("127.0.0.1", {port})))')
    options = ["--max-requests", "5"]
    with Script(script, workers=1, options=options, directory=tmp_path) as running:
        (first,) = running.pids()
        for _ in range(5):
            ask(port)
        running.wait_log("will be replaced: it has accepted 5 connections")
        running.wait_left(1)
        assert ask(port) in running.pids() - {first}


def test_one_that_is_too_large_is_replaced(tmp_path: Path) -> None:
    port = free_port()
    text = f"""
heap = []
if not os.path.exists("grown"):
    open("grown", "w").close()
    heap.append(b"x" * (200 << 20))
start(socket.create_server(("127.0.0.1", {port})))
"""
    options = ["--max-memory", "150M"]
    with Script(write(tmp_path, text), workers=1, options=options, directory=tmp_path) as running:
        running.wait_log("MiB of memory, --max-memory is 150 MiB")
        running.wait_left(1)
        assert ask(port) in running.pids()
