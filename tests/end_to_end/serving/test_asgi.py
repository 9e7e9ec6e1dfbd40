"""ASGI 3, from the client's side, on both loops and with both parsers."""

import contextlib
import json
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.harness.client import Truncated, Wire, request
from tests.harness.server import Server

APP = "tests.apps.asgi_kinds:app"
MIB = 1 << 20


KINDS = {
    "uvloop": ("--loop", "uvloop"),
    "asyncio": ("--loop", "asyncio"),
    "h11": ("--http", "h11"),
}


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    with Server(APP, *KINDS[request.param], directory=directory) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def abandoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose client has gone: from the start, so that its test need not wait 10 s."""
    with Server(APP, directory=tmp_path_factory.mktemp("abandoned")) as server:
        with Wire(server.port) as wire:
            wire.send(request("GET", "/endless"))
            assert wire.stream.readline().startswith(b"HTTP/1.1 200")
        yield server


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with Wire(server.port) as wire:
        yield wire


def note(server: Server, name: str) -> Any:
    """What the application noted under a name."""
    return json.loads(server.get("/notes").body).get(name)


# Bodies and responses under flow control.


def send_until_stopped(wire: Wire, size: int) -> int:
    """Send so many bytes, or fewer if the server takes no more; how many it took."""
    sent, piece = 0, bytes(MIB)
    wire.socket.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while sent < size:
            sent += wire.socket.send(piece[: size - sent])
    return sent


def test_an_app_that_does_not_read_stops_the_sender(server: Server, wire: Wire) -> None:
    """64 MiB meet an application that is not ready: what the server keeps of them is bounded."""
    worker = server.workers()[0]
    before = worker.memory_info().rss
    wire.send(request("POST", "/reads-late", f"Content-Length: {64 * MIB}"))
    sent = send_until_stopped(wire, 64 * MIB)
    assert sent < 64 * MIB
    assert worker.memory_info().rss - before < 8 * MIB
    wire.socket.settimeout(20)
    server.get("/open/reads-late")
    wire.send(bytes(64 * MIB - sent))
    assert wire.read().body == str(64 * MIB).encode()


def test_a_slow_reader_pauses_the_app(server: Server) -> None:
    worker = server.workers()[0]
    before = worker.memory_info().rss
    with Wire(server.port, small=True) as wire:
        wire.send(request("GET", "/streams"))
        server.until(lambda: (note(server, "streams") or 0) > 0, "it began")
        taken = []

        def settled() -> bool:
            taken.append(note(server, "streams"))
            return len(taken) > 20 and taken[-20] == taken[-1]

        server.until(settled, "it waits")
        assert taken[-1] < 32
        assert worker.memory_info().rss - before < 16 * MIB
        assert len(wire.read().body) == 64 * MIB
        assert wire.get("/notes").status == 200


def test_two_tasks_may_send(server: Server) -> None:
    """Both wait for a client that does not read, and both go on."""
    with Wire(server.port, small=True) as wire:
        body = wire.get("/sends-from-two").body
        assert sorted((body.count(b"a"), body.count(b"b"))) == [8 * MIB, 8 * MIB]


# Clients that go away.


def test_receive_tells_that_the_client_went(server: Server, wire: Wire) -> None:
    wire.send(request("POST", "/watches", body=b"a"))
    server.until(lambda: note(server, "watches") == "waiting", "it waits")
    wire.close()
    server.until(lambda: note(server, "watches") == "http.disconnect", "it was told")


def test_every_receive_tells(server: Server, wire: Wire) -> None:
    wire.send(request("GET", "/watches-later"))
    assert wire.stream.readline().startswith(b"HTTP/1.1 200")
    wire.close()
    told = ["http.disconnect"] * 2
    server.until(lambda: note(server, "watches-later") == told, "both were told")


def test_receive_after_the_response(server: Server, wire: Wire) -> None:
    assert wire.get("/continues").body == b"done"
    server.until(lambda: note(server, "after") == "http.disconnect", "it was told")
    server.wait_log("complete already")
    assert wire.get("/notes").status == 200


def test_send_says_what_receive_has_said(server: Server, wire: Wire) -> None:
    """A client that has closed its half may read on: until receive() has told of it."""
    wire.send(request("GET", "/follows"))
    wire.socket.shutdown(socket.SHUT_WR)
    server.get("/open/follows")
    with pytest.raises(Truncated):
        wire.read()
    server.until(lambda: note(server, "followed"), "send() did nothing")
    assert note(server, "follows") == "http.disconnect"


def test_a_half_closed_client_is_answered(wire: Wire) -> None:
    """Of an application that does not ask."""
    wire.send(request("GET", "/streams"))
    wire.socket.shutdown(socket.SHUT_WR)
    assert len(wire.read().body) == 64 * MIB


# Applications that break the contract.


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/raises", "raised before the start"),
        ("/raises-between", "raised after the start"),
        ("/returns", "/returns: the application returned without"),
        ("/body-first", "before http.response.start"),
        ("/starts-twice", "sent twice"),
        ("/unknown", "http.response.tea"),
    ],
)
def test_nothing_was_sent_yet(server: Server, wire: Wire, path: str, says: str) -> None:
    answer = wire.get(path)
    assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
    assert answer.headers["connection"] == "close"
    assert "x-secret" not in answer.headers
    assert wire.maybe_read() is None
    server.wait_log(says)


def test_a_cancelled_task_is_answered_for(wire: Wire) -> None:
    assert wire.get("/cancelled").status == 500


@pytest.mark.parametrize("path", ["/raises-late", "/returns-late", "/short", "/long"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_broken_response_is_seen_to_be_broken(wire: Wire, path: str, version: str) -> None:
    """Without chunks and length, as in HTTP/1.0, only a reset can tell."""
    wire.send(request("GET", path, version=version))
    with pytest.raises(Truncated):
        wire.read()


def test_a_large_unread_body_costs_the_connection(wire: Wire) -> None:
    wire.send_what_is_taken(request("POST", "/state", body=bytes(8 * MIB)))
    answer = wire.read()
    assert answer.status == 200
    assert answer.headers["connection"] == "close"
    assert wire.maybe_read() is None


def test_a_small_unread_body_does_not(wire: Wire) -> None:
    wire.send(request("POST", "/state", body=bytes(100_000)))
    assert wire.read().headers.get("connection") is None
    assert wire.get("/notes").status == 200


# Between requests.


def test_contexts_are_apart(server: Server, wire: Wire) -> None:
    wire.send(request("GET", "/context") * 3)
    assert [wire.read().body for _ in range(3)] == [b"nobody"] * 3
    assert server.get("/context").body == b"nobody"


def test_each_request_has_a_copy_of_the_state(server: Server, wire: Wire) -> None:
    expected = {"pid": server.workers()[0].pid}
    for _ in range(2):
        assert json.loads(wire.get("/state").body) == expected


# The scope.

TARGETS = ["/scope", "/scope?a=b%20c&d", "/sc%6Fpe", "/scope?%ff"]
FIELDS = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https", "Cookie": "a=b"}


def scopes(directory: Path, *options: str) -> list[dict[str, Any]]:
    """The scope of each of TARGETS; the port and the client's are made alike."""
    found = []
    directory.mkdir()
    with Server(APP, *options, directory=directory) as server:
        for fields in ({}, FIELDS):
            for target in TARGETS:
                answer = server.get(target, **fields)
                assert answer.status == 200, target
                scope = json.loads(answer.body.replace(b"%d" % server.port, b"80"))
                if not fields:
                    scope["client"][1] = 1
                scope["state"].pop("pid")
                found.append(scope)
    return found


@pytest.mark.parametrize("options", [(), ("--root-path", "/below")], ids=["root", "below"])
def test_scopes_are_those_of_uvicorn(tmp_path: Path, options: tuple[str, ...]) -> None:
    ours = scopes(tmp_path / "ours", *options)
    theirs = scopes(tmp_path / "theirs", "-k", "uvicorn", *options)
    for here, there in zip(ours, theirs, strict=True):
        assert here.pop("extensions", {}) == {}
        assert here == there


def test_a_scope_is_the_requests_own(server: Server, wire: Wire) -> None:
    first = json.loads(wire.get("/spoils", "Cookie: a=b").body)
    for _ in range(3):
        assert json.loads(wire.get("/spoils", "Cookie: a=b").body) == first
    assert "spoilt" not in str(json.loads(wire.get("/scope", "Cookie: a=b").body))


@pytest.mark.parametrize("worker_class", ["asgi", "uvicorn"])
def test_an_asgi_2_application_is_told_so(tmp_path: Path, worker_class: str) -> None:
    app = "tests.apps.asgi_kinds:double"
    with Server(app, "-k", worker_class, directory=tmp_path) as server:
        for _ in range(2):
            assert json.loads(server.get("/").body)["asgi"]["version"] == "2.0"
        with websocket(server, "/") as ws:
            assert json.loads(ws.recv())["version"] == "2.0"


def test_a_unix_socket_has_no_client(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with (
        Server(APP, "-b", f"unix:{path}", directory=tmp_path),
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(str(path))
        client.sendall(b"GET /scope HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as stream:
            scope = json.loads(stream.read().partition(b"\r\n\r\n")[2])
    assert scope["client"] is None
    assert scope["server"] == [str(path), None]


# Lifespan.


def test_a_lifespan_for_each_worker(tmp_path: Path) -> None:
    events = tmp_path / "events"
    with Server(APP, "-w", "3", directory=tmp_path, env={"EVENTS": str(events)}) as server:
        pids = {str(worker.pid) for worker in server.workers()}
        assert {json.loads(server.get("/state").body)["pid"] for _ in range(9)} <= set(
            map(int, pids)
        )
    lines = [line.split() for line in events.read_text().splitlines()]
    for stage in ("startup", "shutdown"):
        assert sorted(pid for event, pid in lines if event == stage) == sorted(pids)


@pytest.mark.parametrize(
    ("wanted", "options", "says"),
    [
        ("raises", ("--lifespan", "on"), "LookupError: no database"),
        ("fails", (), "no database, sorry"),
        ("unsupported", ("--lifespan", "on"), "AssertionError: only http here"),
    ],
)
def test_a_failed_startup_is_told_once(
    tmp_path: Path, wanted: str, options: tuple[str, ...], says: str
) -> None:
    """Four workers, one account of it."""
    with Server(
        APP, "-w", "4", *options, directory=tmp_path, env={"LIFESPAN": wanted}, ready=False
    ) as server:
        assert server.wait() == 3
        assert server.log.count(says) == 1
        assert "uvicorn" not in server.log


@pytest.mark.parametrize(
    ("wanted", "options"), [("unsupported", ()), ("raises", ("--lifespan", "off"))]
)
def test_an_app_may_do_without(tmp_path: Path, wanted: str, options: tuple[str, ...]) -> None:
    with Server(APP, *options, directory=tmp_path, env={"LIFESPAN": wanted}) as server:
        assert json.loads(server.get("/state").body) == {}
        assert wanted == "raises" or "only http" not in server.log


# WebSocket.


def websocket(server: Server, path: str, **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}{path}", open_timeout=15, proxy=None, **options)


def test_messages_of_every_size_come_back(server: Server) -> None:
    with websocket(server, "/ws", max_size=None) as ws:
        for message in ("", "text", b"", b"bytes", "ä" * MIB, bytes(4 * MIB)):
            ws.send(message)
            assert ws.recv() == message
    server.until(lambda: note(server, "websocket") == 1000, "the app was told why it ended")


@pytest.mark.parametrize("code", [1000, 1008, 4321])
def test_close_codes_are_the_applications(server: Server, code: int) -> None:
    with websocket(server, f"/ws/{code}") as ws, pytest.raises(ConnectionClosed) as closed:
        ws.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "as you wish")


def test_a_subprotocol(server: Server) -> None:
    wanted = [Subprotocol("one"), Subprotocol("two")]
    with websocket(server, "/ws", subprotocols=wanted) as ws:
        assert ws.subprotocol == "two"


def test_a_rejected_handshake_is_403(server: Server) -> None:
    with pytest.raises(InvalidStatus) as rejected, websocket(server, "/no"):
        pass
    assert rejected.value.response.status_code == 403


def test_a_handshake_may_follow_requests(server: Server, wire: Wire) -> None:
    """It waits for the responses before it."""
    handshake = request(
        "GET",
        "/ws",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    wire.send(request("GET", "/slow?0.1") + request("GET", "/context") + handshake)
    assert wire.read().status == 200
    assert wire.read().body == b"nobody"
    assert wire.read().status == 101


def test_they_count_as_connections(tmp_path: Path) -> None:
    with Server(APP, "--worker-connections", "2", directory=tmp_path) as server:
        with websocket(server, "/ws"), websocket(server, "/ws") as ws, Wire(server.port) as wire:
            wire.send(request("GET", "/notes"))
            assert not select.select([wire.socket], [], [], 0.3)[0]
            ws.close()
            assert wire.read().status == 200
        assert server.get("/notes").status == 200


def test_a_stop_closes_with_1012(tmp_path: Path) -> None:
    with Server(APP, directory=tmp_path) as server, websocket(server, "/ws") as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
        server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=15)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert server.wait() == 0


def test_send_raises_when_the_client_went(abandoned: Server) -> None:
    """10 s after it went; nobody is to blame."""
    abandoned.until(lambda: note(abandoned, "endless") is not None, "send() raised")
    assert note(abandoned, "endless") == "ClientDisconnected"
    assert "error in the application" not in abandoned.log
