"""A worker that is full makes room: who idles longest goes, and nobody else."""

import asyncio
import contextlib
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from errno import EMFILE, ENOBUFS, EPROTO
from pathlib import Path

import psutil
import pytest
import uvloop

from pyfork.ipc.fd_queue import FdQueue, FdQueueReader
from pyfork.ipc.scoreboard import Scoreboard
from pyfork.worker.accept.acceptor import Acceptor
from tests.end_to_end.tls.authority import Authority
from tests.harness.client import Wire, request
from tests.harness.server import Server, environment

ASGI, WSGI = "tests.apps.asgi_kinds:app", "tests.apps.wsgi:app"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
ROOM = 20  # connections of a worker
loops = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


def ended(wire: Wire) -> bool:
    """Whether the server has closed it, with nothing left to read."""
    readable = select.select([wire.socket], [], [], 0)[0]
    return bool(readable) and wire.socket.recv(1, socket.MSG_PEEK) == b""


def kept(stack: ExitStack, server: Server, count: int) -> list[Wire]:
    """Connections that were answered and idle now, in the order of their age."""
    wires = []
    for _ in range(count):
        wire = stack.enter_context(Wire(server.port))
        assert wire.get("/").status == 200
        wires.append(wire)
    return wires


@loops
@pytest.mark.parametrize("limit", ["connections", "files"])
def test_the_next_client_is_served(tmp_path: Path, loop: str, limit: str) -> None:
    """60 kept connections where there is room for about 20; the youngest are left."""
    options = ("--worker-connections", str(ROOM)) if limit == "connections" else ()
    with ExitStack() as stack:
        server = stack.enter_context(Server(WSGI, "--loop", loop, *options, directory=tmp_path))
        (worker,) = server.workers()
        assert server.get("/").status == 200
        if limit == "files":
            files = worker.num_fds() + ROOM
            worker.rlimit(psutil.RLIMIT_NOFILE, (files, files))
        wires = kept(stack, server, 3 * ROOM)
        server.until(lambda: sum(map(ended, wires)) >= 2 * ROOM - 1, "the eldest are closed")
        assert [ended(wire) for wire in wires[:ROOM]] == [True] * ROOM
        assert [ended(wire) for wire in wires[-5:]] == [False] * 5
        assert wires[-1].get("/").status == 200
        assert server.log.count("to make room") == 1
        assert "--worker-connections" in server.log or "Too many open files" in server.log


@pytest.mark.parametrize("dispatch", ["least", "shared", "round-robin", "reuseport"])
def test_several_workers_make_room(tmp_path: Path, dispatch: str) -> None:
    """Whoever gets the next client, and however full both are."""
    options = ("-w", "2", "--worker-connections", "10", "--dispatch", dispatch)
    with ExitStack() as stack:
        server = stack.enter_context(Server(WSGI, *options, directory=tmp_path))
        wires = kept(stack, server, 50)
        server.until(lambda: sum(map(ended, wires)) >= 30, "those beyond 20 are closed")
        assert sum(map(ended, wires)) <= 32  # nobody was closed without need
        assert wires[-1].get("/").status == 200


def test_status_says_so(tmp_path: Path) -> None:
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with ExitStack() as stack:
        server = stack.enter_context(
            Server(WSGI, "--worker-connections", "2", directory=tmp_path, env=runtime)
        )
        kept(stack, server, 5)
        told = subprocess.run(
            [sys.executable, "-m", "pyfork", "status", str(server.pid)],
            env=environment() | runtime,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "3 idle connections were closed to make room for others" in told.stdout


@loops
def test_a_request_in_flight_keeps_its_place(tmp_path: Path, loop: str) -> None:
    """The eldest of all waits for its answer; a full worker without idle ones lets others wait."""
    options = ("--worker-connections", "3", "--loop", loop)
    with ExitStack() as stack:
        server = stack.enter_context(Server(ASGI, *options, directory=tmp_path))
        busy = [stack.enter_context(Wire(server.port)) for _ in range(2)]
        for wire in busy:
            wire.send(request("POST", "/reads-late"))
        idle = stack.enter_context(Wire(server.port))
        assert idle.get("/notes").status == 200
        others = [stack.enter_context(Wire(server.port)) for _ in range(2)]
        others[0].send(request("POST", "/reads-late"))
        server.until(lambda: ended(idle), "the idle one is closed")
        others[1].send(request("GET", "/open/reads-late"))
        assert not select.select([others[1].socket], [], [], 0.3)[0]
        assert server.log.count("closed an idle connection to make room") == 1
        busy[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        busy[0].close()  # its place is free
        assert others[1].read().status == 200
        assert busy[1].read().status == 200
        assert others[0].read().status == 200


@loops
def test_a_request_that_is_there_is_not_lost(tmp_path: Path, loop: str) -> None:
    """All have idled and ask again in the moment in which another client comes."""
    options = ("--worker-connections", "8", "--loop", loop)
    with ExitStack() as stack:
        server = stack.enter_context(Server(WSGI, *options, directory=tmp_path))
        (worker,) = server.workers()
        for _ in range(5):
            with ExitStack() as clients:
                wires = kept(clients, server, 8)
                worker.suspend()
                new = clients.enter_context(Wire(server.port))
                new.send(request("GET", "/"))
                for wire in wires:
                    wire.send(request("GET", "/"))
                worker.resume()
                assert [wire.read().status for wire in wires] == [200] * 8
                assert new.read().status == 200


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_who_has_not_spoken_goes_by_age(tmp_path: Path, tls: bool) -> None:
    authority = Authority(tmp_path)
    options = ["--worker-connections", "10", *(authority.options() if tls else [])]
    with ExitStack() as stack:
        server = stack.enter_context(Server(WSGI, *options, directory=tmp_path))
        silent = [stack.enter_context(Wire(server.port)) for _ in range(10)]
        context = authority.client() if tls else None
        spoken = stack.enter_context(Wire(server.port, tls=context))
        assert spoken.get("/").status == 200
        server.until(lambda: any(map(ended_hard, silent)), "one was closed")
        assert [ended_hard(each) for each in silent] == [True] + [False] * 9
        assert spoken.get("/").status == 200


def ended_hard(wire: Wire) -> bool:
    """`ended`, or reset."""
    with contextlib.suppress(ConnectionError):
        return ended(wire)
    return True


# What accept may say, by a listener that says it.


class Says(FdQueueReader):
    """A source of clients with which something is wrong first."""

    def __init__(self, end: socket.socket, errors: list[int]) -> None:
        super().__init__(end)
        self.errors = errors
        self.asked = 0

    def take(self) -> int:
        self.asked += 1
        if self.errors:
            raise OSError(self.errors.pop(0), "accept failed")
        return super().take()


@pytest.mark.parametrize(
    ("errors", "rooms", "takes"),
    [
        ([EPROTO] * 5, 0, 0.5),  # of one client: the next one is looked at immediately
        ([EMFILE] * 5, 5, 0.5),  # room is made each time
        ([ENOBUFS], 0, 5.0),  # nothing is to be done but to wait
    ],
    ids=["EPROTO", "EMFILE", "ENOBUFS"],
)
@loops
def test_what_accept_may_say(errors: list[int], rooms: int, takes: float, loop: str) -> None:
    made: list[str] = []
    served = asyncio.Event()

    class Client(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            served.set()
            transport.close()

    def make_room(why: str) -> bool:
        made.append(why)
        return True

    async def accept() -> None:
        ours, theirs = socket.socketpair()
        fd_queue = FdQueue(ours, theirs)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
        fd_queue.put(1, accepted)
        source = Says(socket.socket(fileno=theirs.detach()), list(errors))
        board = Scoreboard(1)
        board.mark_used(0)
        acceptor = Acceptor(
            asyncio.get_running_loop(),
            [source],
            lambda client: Client(),
            row=board.row(0),
            count=lambda change: None,
            alone=True,
            make_room=make_room,
        )
        acceptor.start()
        await asyncio.wait_for(served.wait(), takes)
        assert source.asked > len(errors)
        acceptor.stop()
        for each in (client, accepted, ours):
            each.close()
        await asyncio.sleep(0)

    new: Callable[[], asyncio.AbstractEventLoop]
    new = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=new) as runner:
        runner.run(accept())
    assert len(made) == rooms
