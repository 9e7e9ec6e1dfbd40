"""The settings of WebSocket, as a client sees them."""

from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.harness.client import Wire, request
from tests.harness.server import PATIENCE, Server

CLASSES = pytest.mark.parametrize("kind", ["asgi", "uvicorn"])


def open_one(server: Server) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}/", open_timeout=PATIENCE)


@CLASSES
def test_a_message_has_a_limit_and_compression_a_switch(kind: str, tmp_path: Path) -> None:
    options = ("-k", kind, "--ws-max-size", "10", "--no-ws-compression")
    with Server("tests.apps.asgi:app", *options, directory=tmp_path) as server:
        with open_one(server) as client:
            assert client.protocol.extensions == []
            client.send("x" * 10)
            assert client.recv(PATIENCE) == "x" * 10
            client.send("x" * 11)
            with pytest.raises(ConnectionClosedError) as caught:
                client.recv(PATIENCE)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


def test_without_websocket_the_request_is_like_any_other(tmp_path: Path) -> None:
    with (
        Server("tests.apps.asgi:app", "--ws", "none", directory=tmp_path) as server,
        pytest.raises(InvalidStatus) as caught,
    ):
        open_one(server)
    assert caught.value.response.status_code == 200
    assert caught.value.response.body == b"hello from asgi"


@pytest.mark.parametrize("http", ["auto", "h11"])
def test_a_handshake_is_one_after_any_request_with_the_same_fields(
    http: str, tmp_path: Path
) -> None:
    fields = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    with Server("tests.apps.asgi:app", "--http", http, directory=tmp_path) as server:
        for methods in (["GET"], ["POST", "GET"], ["HEAD", "OPTIONS", "POST", "POST", "GET"]):
            with Wire(server.port) as wire:
                assert wire.get("/").status == 200  # the request line is known from here on
                for method in methods[:-1]:
                    wire.send(request(method, "/", *fields))
                    assert wire.read(method).status in (200, 404)
                wire.send(request("GET", "/", *fields))
                assert wire.stream.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
