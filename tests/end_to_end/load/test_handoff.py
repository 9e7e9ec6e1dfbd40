"""Connections that change hands: what is on its way then, and who dies meanwhile."""

import signal
import socket
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.load.content import big, title
from tests.harness.client import Wire
from tests.harness.load import KINDS, Code, reload, serve
from tests.harness.server import Server
from tests.harness.slow_clients import SlowClients, answers

GET = b"GET /%b?n=%b HTTP/1.1\r\nHost: a\r\n\r\n"
SMALL = GET % (b"small", b"1")
IDLE = 1000


def closed(clients: list[socket.socket]) -> int:
    """How many of them the server has closed or spoken to."""
    count = 0
    for client in clients:
        try:
            client.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        except ConnectionError:
            pass
        count += 1
    return count


def wait_gone(server: Server, workers: list[psutil.Process]) -> None:
    server.until(lambda: not any(each.is_running() for each in workers), "the old ones are gone")


@pytest.mark.parametrize("kind", KINDS)
def test_a_response_that_is_still_leaving_leaves_whole(tmp_path: Path, kind: str) -> None:
    code = Code(tmp_path)
    with serve(code, kind, 1, tmp_path) as server, Wire(server.port, small=True) as wire:
        wire.send(GET % (b"whole", b"first"))
        old = server.workers()
        server.until(lambda: wire.socket.recv(1, socket.MSG_PEEK), "the answer has begun")
        reload(server, code, 2)
        server.until(lambda: len(server.workers()) == 2, "both are there")
        assert wire.read().body == title("first", "1") + big()
        wait_gone(server, old)
        wire.send(GET % (b"small", b"second"))
        assert wire.read().body == title("second", "2")


@pytest.mark.parametrize("kind", ["thread", "asgi-asyncio"])
def test_a_thousand_idle_connections_survive_three_reloads(tmp_path: Path, kind: str) -> None:
    code = Code(tmp_path)
    with serve(code, kind, 2, tmp_path) as server, SlowClients(server.port, IDLE) as crowd:
        # A third has not spoken yet, and is as good as any.
        assert answers(crowd.sockets[IDLE // 3 :], SMALL, 10) == IDLE - IDLE // 3
        for generation in range(2, 5):
            old = server.workers()
            reload(server, code, generation)
            wait_gone(server, old)
        assert closed(crowd.sockets) == 0
        assert answers(crowd.sockets, SMALL, 10) == IDLE


@pytest.mark.parametrize("kind", ["sync", "asgi-uvloop"])
def test_a_request_that_came_in_the_middle_is_answered(tmp_path: Path, kind: str) -> None:
    """The taker is stopped while it holds what was offered to it; then requests come, some half."""
    code = Code(tmp_path)
    with serve(code, kind, 1, tmp_path) as server, SlowClients(server.port, 100) as crowd:
        assert answers(crowd.sockets, SMALL, 10) == 100
        (giver,) = server.workers()
        code.write("2")
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        taker = server.workers()[-1]
        taker.suspend()
        for client in crowd.sockets[:50]:
            client.sendall(SMALL[:20])
        taker.resume()
        assert answers(crowd.sockets[:50], SMALL[20:], 10) == 50
        assert answers(crowd.sockets[50:], SMALL, 10) == 50
        wait_gone(server, [giver])
        assert answers(crowd.sockets, SMALL, 10) == 100


@pytest.mark.parametrize("kind", ["sync", "asgi-asyncio"])
def test_a_taker_that_dies_takes_nothing_along(tmp_path: Path, kind: str) -> None:
    """It was stopped before anything was offered to it, and is killed with the offers unread."""
    code = Code(tmp_path)
    with serve(code, kind, 2, tmp_path) as server, SlowClients(server.port, 200) as crowd:
        assert answers(crowd.sockets, SMALL, 10) == 200
        givers = server.workers()
        code.write("2", boot=0.15)  # time to stop the first while the second boots
        server.signal(signal.SIGHUP)
        server.wait_log("(generation 2, pid ")
        taker = server.workers()[2]
        taker.suspend()
        server.wait_log("generation 2 serves")
        taker.kill()
        wait_gone(server, givers)
        assert closed(crowd.sockets) == 0
        assert answers(crowd.sockets, SMALL, 10) == 200


@pytest.mark.parametrize("kind", ["sync", "asgi-asyncio"])
def test_a_giver_that_dies_leaves_to_others_what_they_took(tmp_path: Path, kind: str) -> None:
    """One giver is killed in the middle; the other's connections all go on."""
    code = Code(tmp_path)
    with serve(code, kind, 2, tmp_path) as server, SlowClients(server.port, 300) as crowd:
        assert answers(crowd.sockets, SMALL, 10) == 300
        victim, other = server.workers()
        victim.suspend()  # from now on none moves to it by itself
        others = connections(other)
        reload(server, code, 2)
        wait_gone(server, [other])
        victim.resume()
        with suppress(psutil.NoSuchProcess):  # it may be done before this process runs again
            victim.kill()
        wait_gone(server, [victim])
        lost = closed(crowd.sockets)
        assert lost <= 300 - others
        rest = [client for client in crowd.sockets if not closed([client])]
        assert answers(rest, SMALL, 10) == 300 - lost


def connections(worker: psutil.Process) -> int:
    """How many clients it has."""
    return sum(each.status == psutil.CONN_ESTABLISHED for each in worker.net_connections("tcp"))
