"""A busy worker gives its connections to one that is free."""

import json
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.dispatch.clients import KINDS, REQUEST, answer, connect
from tests.end_to_end.tls.authority import Authority
from tests.harness.server import Server

# Under ``least`` idle connections would move by themselves.
EAGER = pytest.mark.skipif(sys.version_info < (3, 12), reason="the first step is the loop's")
SHARED = ("-w", "2", "--dispatch", "shared")
SYNC = (*KINDS["sync"], *SHARED)
BLOCK = 1.0  # seconds
PROMPT = 0.6 * BLOCK


@contextmanager
def kept(server: Server, count: int) -> Iterator[dict[int, list[socket.socket]]]:
    """Connections on which a request was answered, by the process that did."""
    with ExitStack() as stack:
        clients: dict[int, list[socket.socket]] = {}
        for _ in range(count):
            client = stack.enter_context(connect(server.port, b"/"))
            clients.setdefault(answer(client), []).append(client)
        yield clients


def block(server: Server, client: socket.socket, target: bytes) -> int:
    """Block the worker that has ``client``; its process id."""
    said = len(re.findall("blocked", server.out))
    client.sendall(REQUEST % target)
    server.until(lambda: len(re.findall(r"blocked \d+\n", server.out)) > said, "one is blocked")
    return int(re.findall(r"blocked (\d+)\n", server.out)[-1])


def ask(client: socket.socket) -> tuple[int, float]:
    """Who answers, and after how many seconds."""
    began = time.monotonic()
    client.sendall(REQUEST % b"/")
    return answer(client), time.monotonic() - began


@pytest.mark.parametrize(
    ("kind", "loop", "how"),
    [
        ("sync", "uvloop", f"/block?s={BLOCK}"),
        ("sync", "asyncio", f"/spin?spin={BLOCK}"),
        pytest.param("asgi", "uvloop", f"/block?s={BLOCK}", marks=EAGER),
        pytest.param("asgi", "asyncio", f"/block?s={BLOCK}", marks=EAGER),
    ],
)
def test_another_worker_answers_on_kept_connections(
    tmp_path: Path, kind: str, loop: str, how: str
) -> None:
    options = (*KINDS[kind], *SHARED, "--loop", loop)
    with (
        Server(*options, directory=tmp_path) as server,
        kept(server, 12) as clients,
    ):
        pid, mine = max(clients.items(), key=lambda each: len(each[1]))
        slow, *others = mine
        assert others
        assert block(server, slow, how.encode()) == pid
        told = [ask(client) for client in others]
        assert pid not in [who for who, _ in told]
        assert max(took for _, took in told) < PROMPT
        assert answer(slow) == pid
        again = Counter(ask(client)[0] for client in others)  # which are open, and stay there
        assert again == {who: len(others) for who, _ in told}
        server.until(lambda: connections(server) == 12, "no copy of a connection is left")


@pytest.mark.parametrize("kind", ["sync", pytest.param("asgi", marks=EAGER)])
def test_idle_connections_of_a_hung_worker_live_on(tmp_path: Path, kind: str) -> None:
    with (
        Server(*KINDS[kind], *SHARED, "-t", "0.3", directory=tmp_path) as server,
        kept(server, 12) as clients,
    ):
        pid, (slow, *others) = max(clients.items(), key=lambda each: len(each[1]))
        assert others
        assert block(server, slow, b"/block?s=60") == pid
        server.until(lambda: pid not in {each.pid for each in server.workers()}, "it is killed")
        assert pid not in {ask(client)[0] for client in others}


@EAGER
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's view of the loop")
@pytest.mark.parametrize(("loop", "pause"), [("uvloop", 0.5), ("uvloop", 0.0), ("asyncio", 0.0)])
def test_a_later_step_that_blocks_is_seen(tmp_path: Path, loop: str, pause: float) -> None:
    options = (*SHARED, "--loop", loop, "--control", str(tmp_path / "control"))
    target = f"/later?until={tmp_path}/over&pause={pause}"
    with (
        Server(*KINDS["asgi"], *options, directory=tmp_path) as server,
        connect(server.port, target.encode()) as client,
    ):
        said = server.until(lambda: re.search(r"blocked (\d+)\n", server.out), "one is blocked")
        assert said
        server.until(lambda: blocked(server) == {int(said[1])}, "its row says so")
        (tmp_path / "over").touch()
        assert answer(client) == int(said[1])
        server.until(lambda: not blocked(server), "its row says no more")


def blocked(server: Server) -> set[int]:
    """The workers that say that application code holds their loop."""
    command = (sys.executable, "-m", "pyfork", "status", "--json", server.directory / "control")
    status = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    return {each["pid"] for each in status["workers"] if each["blocked"]}


def test_another_worker_answers_where_all_threads_are_busy(tmp_path: Path) -> None:
    options = ("-k", "thread", "--threads", "2", *SHARED)
    with (
        Server(KINDS["thread"][0], *options, directory=tmp_path) as server,
        kept(server, 12) as clients,
    ):
        pid, (one, two, *others) = max(clients.items(), key=lambda each: len(each[1]))
        assert [block(server, each, b"/block?s=%g" % BLOCK) for each in (one, two)] == [pid, pid]
        told = [ask(client) for client in others]
        assert pid not in [who for who, _ in told]
        assert max(took for _, took in told) < PROMPT
        assert [answer(each) for each in (one, two)] == [pid, pid]
        server.until(lambda: connections(server) == 12, "no copy of a connection is left")


def test_a_connection_that_was_accepted_and_has_not_spoken(tmp_path: Path) -> None:
    with (
        Server(
            *KINDS["sync"], "-w", "2", "--dispatch", "round-robin", directory=tmp_path
        ) as server,
        kept(server, 2) as clients,
        ExitStack() as stack,
    ):
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for _ in range(4)
        ]
        pid, (slow, *_) = clients.popitem()
        server.until(lambda: connections(server) == 6, "all are accepted")
        assert block(server, slow, b"/block?s=%g" % BLOCK) == pid
        told = [ask(client) for client in silent]
        assert max(took for _, took in told) < PROMPT
        assert pid not in [who for who, _ in told]
        answer(slow)


def connections(server: Server) -> int:
    """How many the workers have."""
    return sum(
        each.status == "ESTABLISHED"
        for worker in server.workers()
        for each in worker.net_connections("tcp")
    )


def test_tls_is_spoken_by_another_worker_where_it_was_not_begun(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = ("-w", "2", "--dispatch", "round-robin", *authority.options("localhost"))
    trusting = authority.client()
    with Server(*KINDS["sync"], *options, directory=tmp_path) as server, ExitStack() as stack:
        plain = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for _ in range(6)
        ]
        slow, *others = (
            stack.enter_context(
                trusting.wrap_socket(
                    each, server_hostname="localhost", do_handshake_on_connect=False
                )
            )
            for each in plain
        )
        slow.do_handshake()
        server.until(lambda: connections(server) == 6, "all are accepted")
        block(server, slow, b"/block?s=%g" % BLOCK)
        began = time.monotonic()
        for client in others:
            client.do_handshake()
            client.sendall(REQUEST % b"/")
            answer(client)
        assert time.monotonic() - began < PROMPT
        answer(slow)


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_a_forked_child_is_not_born_of_a_worker_with_that_thread(tmp_path: Path) -> None:
    with (
        Server(*SYNC, directory=tmp_path) as server,
        kept(server, 8) as clients,
    ):
        pid, (slow, *others) = max(clients.items(), key=lambda each: len(each[1]))
        server.until(lambda: worker(server, pid).num_threads() == 2, "it has the thread")
        assert block(server, slow, b"/fork?fork=0.1&s=%g" % BLOCK) == pid
        assert "threads 1\n" in server.out
        assert "DeprecationWarning" not in server.log  # CPython's, from 3.12 on
        told = [ask(client) for client in others]  # there is a thread again
        assert max(took for _, took in told) < PROMPT
        assert answer(slow) == pid


def worker(server: Server, pid: int) -> psutil.Process:
    return next(each for each in server.workers() if each.pid == pid)


def test_one_worker_without_a_timeout_has_no_such_thread(tmp_path: Path) -> None:
    with Server(*KINDS["sync"], "-t", "0", directory=tmp_path) as server:
        for _ in range(3):
            server.get("/work?ms=20")
        assert server.workers()[0].num_threads() == 1
