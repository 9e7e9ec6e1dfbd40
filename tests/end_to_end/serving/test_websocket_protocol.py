"""RFC 6455 at the wire: handshakes, frames, and how a connection ends."""

import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.end_to_end.serving.frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Frame,
    FrameWire,
    frame,
    handshake,
)
from tests.end_to_end.tls.authority import Authority
from tests.harness.client import Wire
from tests.harness.server import Server

APP = "tests.apps.websocket_kinds:app"
LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
NORMAL = (1000).to_bytes(2)


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(request: Any, tmp_path_factory: Any) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("websocket")
    options = ("--loop", request.param, "--access-logfile", "-", "--ws-max-size", "1m")
    with Server(APP, *options, directory=directory) as server:
        yield server


@pytest.fixture
def wire(server: Server) -> Iterator[FrameWire]:
    with FrameWire(server.port) as wire:
        yield wire


def note(server: Server, name: str) -> Any:
    return json.loads(server.get("/notes").body).get(name)


# The opening handshake.


@pytest.mark.parametrize("version", ["8", "25", "13, 8", "thirteen"])
def test_an_unsupported_version_is_told_the_one_that_is(wire: FrameWire, version: str) -> None:
    """RFC 6455 4.2.2."""
    wire.send(handshake("/echo", version=version))
    response = wire.read()
    assert response.status == 426
    assert response.headers["sec-websocket-version"] == "13"
    assert response.headers["upgrade"] == "websocket"
    assert wire.is_at_end()


@pytest.mark.parametrize("key", ["", "AAAA", "not base64 at all ======"])
def test_a_key_that_is_none_is_refused(wire: FrameWire, key: str) -> None:
    wire.send(handshake("/echo").replace(b"dGhlIHNhbXBsZSBub25jZQ==", key.encode()))
    assert wire.read().status == 400
    assert wire.is_at_end()


def test_the_response_has_the_fields_of_the_application(server: Server) -> None:
    url = f"ws://127.0.0.1:{server.port}/fields?a=b"
    with connect(url, subprotocols=[Subprotocol("chat"), Subprotocol("x")], proxy=None) as client:
        assert client.response is not None
        headers = client.response.headers
        told = json.loads(client.recv())
    assert client.subprotocol == "chat"
    assert headers["x-one"] == "1"
    assert headers.get_all("set-cookie") == ["a=b", "c=d"]
    assert headers["server"] == "pyfork"
    assert len(headers.get_all("date")) == 1
    assert told == {
        "type": "websocket",
        "scheme": "ws",
        "path": "/fields",
        "query_string": "b'a=b'",
        "subprotocols": "['chat', 'x']",
        "http_version": "1.1",
        "asgi": "{'version': '3.0', 'spec_version': '2.4'}",
    }


def test_the_key_of_the_rfc(wire: FrameWire) -> None:
    """RFC 6455 1.3."""
    assert wire.open("/echo")["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_header_cannot_split_the_response(server: Server, wire: FrameWire) -> None:
    wire.send(handshake("/splits"))
    response = wire.read()
    assert response.status == 500
    assert "x-b" not in response.headers
    server.wait_log("invalid value of header b'x-a'")


def test_a_response_in_place_of_a_websocket(server: Server) -> None:
    """ASGI's extension websocket.http.response."""
    with pytest.raises(InvalidStatus) as denied:
        connect(f"ws://127.0.0.1:{server.port}/deny", proxy=None)
    response = denied.value.response
    assert response.status_code == 429
    assert response.headers["x-why"] == "full"
    assert response.body == b"too many"
    server.until(lambda: note(server, "denied") == 1006, "the application knows that it is over")


@pytest.mark.parametrize("kind", ["fails_early", "returns_early"])
def test_an_application_that_does_not_answer_has_failed(
    server: Server, wire: FrameWire, kind: str
) -> None:
    wire.send(handshake(f"/{kind}"))
    assert wire.read().status == 500
    assert wire.is_at_end()
    says = {"fails_early": "failed in a handshake", "returns_early": "did not answer the handshake"}
    server.wait_log(says[kind])


def test_an_application_that_fails_closes_with_1011(server: Server, wire: FrameWire) -> None:
    wire.open("/fails")
    assert wire.read_frame().code == 1011
    server.wait_log("failed in a WebSocket")


def test_the_access_log_has_a_line(server: Server) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/echo?line", proxy=None) as client:
        client.send("12345")
        assert client.recv() == "12345"
    server.until(lambda: '"GET /echo?line HTTP/1.1" 101 5 ' in server.out, "it is logged")


# How a connection ends.


def test_a_connection_lost_without_a_close_frame_is_1006(server: Server) -> None:
    for reset in (False, True):
        server.get("/notes?end=")
        with FrameWire(server.port) as wire:
            wire.open("/echo")
            wire.send(frame(TEXT, b"hello"))
            assert wire.read_frame() == Frame(TEXT, b"hello")
            if reset:
                linger = struct.pack("ii", 1, 0)
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        server.until(lambda: note(server, "end") == [1006, ""], "the application knows")
        assert note(server, "again") == 1006
        server.until(lambda: note(server, "send") == "ClientDisconnected", "send() raises")


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [(b"", 1005, ""), (NORMAL, 1000, ""), ((4321).to_bytes(2) + b"bye", 4321, "bye")],
)
def test_a_close_frame_is_answered_and_told(
    server: Server, wire: FrameWire, payload: bytes, code: int, reason: str
) -> None:
    server.get("/notes?end=")
    wire.open("/echo")
    wire.send(frame(CLOSE, payload))
    assert wire.read_frame() == Frame(CLOSE, payload)
    assert wire.is_at_end()
    server.until(lambda: note(server, "end") == [code, reason], "the application knows")


def test_autobahn_7_1_5_a_close_within_a_message(server: Server, wire: FrameWire) -> None:
    """The close is clean, with the client's code; the message is dropped."""
    server.get("/notes?end=")
    wire.open("/echo")
    wire.send(frame(TEXT, b"frag", fin=False) + frame(CLOSE, NORMAL) + frame(CONT, b"ment"))
    assert wire.read_frame() == Frame(CLOSE, NORMAL)
    assert wire.is_at_end()
    server.until(lambda: note(server, "end") == [1000, ""], "the application knows")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"("), 1007),
        (frame(3, b""), 1002),
        (frame(TEXT, b"", rsv1=True), 1002),
        (frame(CONT, b"a"), 1002),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, (1005).to_bytes(2)), 1002),
        (b"\x81\x01a", 1002),  # without a mask
        (frame(BINARY, bytes(1 << 20) + b"x"), 1009),
        (frame(BINARY, bytes(1 << 20), fin=False) + frame(CONT, b"x"), 1009),
    ],
)
def test_what_is_no_websocket_ends_it(wire: FrameWire, sent: bytes, code: int) -> None:
    """The client gets the close frame: no reset overtakes it, whatever it had sent."""
    wire.open("/echo")
    wire.send_what_is_taken(sent + frame(TEXT, b"behind"))
    assert wire.read_frame().code == code
    assert wire.is_at_end()


def test_messages_in_pieces(wire: FrameWire) -> None:
    """Byte by byte, in fragments within a character, and with a ping between."""
    wire.open("/echo")
    text = "a\u00e4\u20ac".encode()
    whole = b"".join(frame(CONT if at else TEXT, text[at : at + 1], fin=False) for at in range(6))
    whole += frame(PING, b"p") + frame(CONT, b"")
    for at in range(len(whole)):
        wire.send(whole[at : at + 1])
    assert wire.read_frame() == Frame(PONG, b"p")
    assert wire.read_frame() == Frame(TEXT, text)


def test_frames_behind_the_handshake(wire: FrameWire) -> None:
    wire.send(handshake("/echo") + frame(TEXT, b"early") + frame(BINARY, b""))
    assert wire.read().status == 101
    assert wire.read_frame() == Frame(TEXT, b"early")
    assert wire.read_frame() == Frame(BINARY, b"")


DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-12)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_compressed_messages(wire: FrameWire) -> None:
    assert wire.open("/echo", DEFLATE)["sec-websocket-extensions"].startswith("permessage-deflate")
    wire.send(frame(TEXT, deflated(b"hello" * 100), rsv1=True))
    answer = wire.read_frame()
    unpacked = zlib.decompressobj(wbits=-12).decompress(answer.data + b"\0\0\xff\xff")
    assert unpacked == b"hello" * 100


def test_a_compressed_bomb_is_closed_with_1009(server: Server, wire: FrameWire) -> None:
    """What counts is what a message becomes."""
    (worker,) = server.workers()
    wire.open("/echo", DEFLATE)
    before = worker.memory_info().rss
    wire.send(frame(BINARY, deflated(bytes(64 << 20)), rsv1=True))
    assert wire.read_frame().code == 1009
    assert worker.memory_info().rss - before < 16 << 20


# Pings.


def pinged(tmp_path: Path, *options: str) -> Server:
    return Server(APP, "--ws-ping-interval", "0.2", *options, directory=tmp_path)


@LOOPS
def test_a_client_that_answers_no_ping_is_lost(tmp_path: Path, loop: str) -> None:
    with (
        pinged(tmp_path, "--ws-ping-timeout", "0.3", "--loop", loop) as server,
        FrameWire(server.port) as wire,
    ):
        wire.open("/echo")
        found = [wire.read_frame()]
        while found[-1].opcode == PING:
            found.append(wire.read_frame())
        assert len(found) in (2, 3)
        assert found[-1].code == 1011
        assert wire.is_at_end()
        server.until(lambda: note(server, "end") is not None, "the application knows")
        assert note(server, "end") == [1006, "keepalive ping timeout"]


def test_a_client_that_answers_pings_stays(tmp_path: Path) -> None:
    with pinged(tmp_path, "--ws-ping-timeout", "0.3") as server, FrameWire(server.port) as wire:
        wire.open("/echo")
        for _ in range(5):
            ping = wire.read_frame()
            assert ping.opcode == PING
            wire.send(frame(PONG, ping.data))
        wire.send(frame(TEXT, b"here"))
        assert wire.read_frame() == Frame(TEXT, b"here")


def test_an_application_that_does_not_receive_does_not_lose_its_client(tmp_path: Path) -> None:
    """The pongs of the client wait in the kernel, behind what the application has to receive."""
    with pinged(tmp_path, "--ws-ping-timeout", "0.3") as server, FrameWire(server.port) as wire:
        wire.open("/idle")
        for _ in range(3):
            wire.send(frame(BINARY, bytes(64 * 1024)))
        for _ in range(5):
            ping = wire.read_frame()
            assert ping.opcode == PING
            wire.send(frame(PONG, ping.data))
        server.get("/notes?go=1")
        wire.send(frame(CLOSE, NORMAL))
        while (found := wire.read_frame()).opcode == PING:
            pass
        assert found == Frame(CLOSE, NORMAL)
        server.until(lambda: note(server, "count") == 3, "all was received")


def reads_slowly(wire: FrameWire, seconds: float) -> bool:
    """Read some now and then for ``seconds``. Returns whether there was no end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not wire.socket.recv(32 * 1024):
            return False
        time.sleep(0.05)  # this is what is tested: a slow client
    return True


@LOOPS
def test_a_slow_reader_is_no_dead_one(tmp_path: Path, loop: str) -> None:
    """While it reads, a ping would wait behind what was sent before; one that stops is lost."""
    with (
        pinged(tmp_path, "--ws-ping-timeout", "0.5", "--loop", loop) as server,
        FrameWire(server.port, small=True) as wire,
    ):
        wire.open("/pour")
        assert reads_slowly(wire, 2)
        assert note(server, "sent") != "gone"
        server.until(lambda: note(server, "sent") == "gone", "it reads no more, and is lost")


# Bounds.


def grown(server: Server, before: int) -> int:
    (worker,) = server.workers()
    return int(worker.memory_info().rss) - before


def resting(server: Server) -> int:
    (worker,) = server.workers()
    server.get("/notes")
    return int(worker.memory_info().rss)


def take_all(wire: Wire, data: bytes, times: int) -> int:
    """Send ``data`` again and again until the server takes no more. Returns how many bytes."""
    wire.socket.settimeout(0.5)
    sent = 0
    try:
        for _ in range(times):
            sent += wire.socket.send(data)
    except TimeoutError:
        pass
    return sent


MIB = 1 << 20


def test_pongs_that_nobody_reads_are_bounded(server: Server) -> None:
    with FrameWire(server.port, small=True) as wire:
        wire.open("/echo")
        before = resting(server)
        sent = take_all(wire, frame(PING, b"ping") * 10_000, 400)
        assert sent < 32 * MIB, "reading pauses"
        assert grown(server, before) < 4 * MIB


def test_messages_that_the_application_does_not_receive_are_bounded(server: Server) -> None:
    with FrameWire(server.port) as wire:
        wire.open("/idle")
        before = resting(server)
        sent = take_all(wire, frame(TEXT) * 10_000, 2000)
        assert sent < 32 * MIB, "reading pauses"
        assert grown(server, before) < 4 * MIB
    server.get("/notes?go=1")


def test_an_application_waits_for_a_client_that_does_not_read(server: Server) -> None:
    before = resting(server)
    with FrameWire(server.port, small=True) as wire:
        wire.open("/pour")
        last = -1
        while (sent := note(server, "sent")) != last:
            last = sent
        assert sent * 64 * 1024 < 16 * MIB
        assert grown(server, before) < 4 * MIB
    server.until(lambda: note(server, "sent") == "gone", "the application knows that it has left")


def test_with_tls_the_same_is_bounded(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Server(APP, *authority.options(), directory=tmp_path) as server:
        (worker,) = server.workers()
        for kind in ("echo", "pour"):
            with FrameWire(server.port, small=True, tls=authority.client()) as wire:
                wire.open(f"/{kind}")
                before = worker.memory_info().rss
                sent = take_all(wire, frame(PING, bytes(125)) * 1_000, 400)
                assert sent < 32 * MIB, "reading pauses"
                assert grown(server, before) < 4 * MIB


def test_a_message_of_many_fragments_costs_its_bytes(server: Server) -> None:
    with FrameWire(server.port) as wire:
        wire.open("/echo")
        before = resting(server)
        wire.send(frame(BINARY, fin=False))
        one, nothing = frame(CONT, b"x", fin=False), frame(CONT, fin=False)
        for _ in range(20):
            wire.send((one + nothing) * 5_000)
        wire.send(frame(PING))
        assert wire.read_frame() == Frame(PONG, b"")
        assert grown(server, before) < 2 * MIB
        wire.send(frame(CONT))
        assert wire.read_frame() == Frame(BINARY, b"x" * 100_000)


def test_many_half_messages_cost_their_bytes(server: Server) -> None:
    """A frame's announced length is no reason to allocate."""
    before = resting(server)
    wires = [FrameWire(server.port) for _ in range(200)]
    try:
        for wire in wires:
            wire.open("/echo")
            wire.send(frame(BINARY, bytes(900_000))[:1000])
        assert json.loads(server.get("/notes").body) is not None
        assert grown(server, before) < 200 * 64 * 1024
    finally:
        for wire in wires:
            wire.close()
