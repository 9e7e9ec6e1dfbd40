"""What a hostile client does: each attack runs until it is ended, and is bounded."""

import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PING = b"\x89\xfd\0\0\0\0" + bytes(125)  # 125 bytes, masked with zeros
MESSAGE = struct.pack("!BBQ4s", 0x81, 0xFF, 1 << 20, bytes(4))  # the head of one of 1 MiB
MIB = 1 << 20


@dataclass(frozen=True)
class Attack:
    """``connections`` that each send what ``data`` yields, as fast as it is taken.

    ``pace`` is in seconds between two pieces, 0 for none. ``reads``: what is answered is read.
    """

    title: str
    connections: int
    data: Callable[[], Iterator[bytes]]
    pace: float = 0.0
    reads: bool = False
    websocket: bool = False

    def run(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Until this process is ended. Who is closed by the server is not replaced."""
        with selectors.DefaultSelector() as selector:
            for _ in range(self.connections):
                with suppress(OSError):
                    client = socket.create_connection(("127.0.0.1", port), 5)
                    if tls is not None:
                        client = tls.wrap_socket(client)
                    client.setblocking(False)
                    selector.register(client, selectors.EVENT_WRITE, _Sender(self, client))
            while True:
                ready = selector.select(0.01) if selector.get_map() else []
                for key, _ in ready:
                    if not key.data.send():
                        selector.unregister(key.fileobj)
                time.sleep(self.pace or 0.001)


class _Sender:
    """One connection's."""

    def __init__(self, attack: Attack, client: socket.socket) -> None:
        self._attack = attack
        self._client = client
        self._pieces = attack.data()
        self._left = b""

    def send(self) -> bool:
        """Send a piece, or what was left of one; whether there is more to come."""
        piece = self._left or next(self._pieces, b"")
        if not piece:
            return False
        self._left = piece
        try:
            self._left = piece[self._client.send(piece) :]
            if self._attack.reads:
                self._client.recv(MIB)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False
        return True


def _pipelined() -> Iterator[bytes]:
    return repeat(GET % b"/long" * 100, 20)


def _ahead() -> Iterator[bytes]:
    yield GET % b"/late"
    yield from repeat(GET % b"/" * 1000, 7)


def _carriage_returns() -> Iterator[bytes]:
    yield CHUNKED + b"5"
    yield from repeat(b"\r" * MIB, 24)


def _behind_handshake() -> Iterator[bytes]:
    yield GET % b"/late" + HANDSHAKE
    yield from repeat(bytes(MIB), 96)


def _pings() -> Iterator[bytes]:
    yield HANDSHAKE
    yield from repeat(PING * 1000, 1000)


def _empty_pings() -> Iterator[bytes]:
    yield HANDSHAKE
    yield from repeat(b"\x89\x80\0\0\0\0" * 10_000, 300)


def _empty_fragments() -> Iterator[bytes]:
    yield HANDSHAKE
    yield b"\x01\x80\0\0\0\0"
    yield from repeat(b"\x00\x80\0\0\0\0" * 10_000, 300)


def _partial_messages() -> Iterator[bytes]:
    yield HANDSHAKE
    yield MESSAGE
    yield bytes(MIB // 5)


def _idle() -> Iterator[bytes]:
    yield GET % b"/"


def _slow_heads() -> Iterator[bytes]:
    yield b"GET / HTTP/1.1\r\nX: "
    yield from repeat(b"x", 3600)


def _slow_bodies() -> Iterator[bytes]:
    yield b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(60_000)
    yield from repeat(b"x", 3600)


ATTACKS = {
    "none": Attack("for comparison: nobody", 0, _idle),  # what the machine does by itself
    "unread": Attack("pipelined answers of 200 KB, unread", 20, _pipelined),
    "ahead": Attack("requests behind a late one", 900, _ahead),
    "cr": Attack("24 MiB of CR behind a chunk size", 2, _carriage_returns),
    "idle": Attack("idle connections", 900, _idle, reads=True),
    "heads": Attack("heads, a byte a second", 400, _slow_heads, pace=1.0),
    "bodies": Attack("bodies, a byte a second", 400, _slow_bodies, pace=1.0),
    "handshake": Attack(
        "96 MiB behind a handshake that waits", 1, _behind_handshake, websocket=True
    ),
    "pongs": Attack("a million pings, no pong read", 1, _pings, websocket=True),
    "pings": Attack("empty pings", 10, _empty_pings, reads=True, websocket=True),
    "fragments": Attack("empty fragments", 10, _empty_fragments, websocket=True),
    "partial": Attack(
        "a fifth of a message of 1 MiB, behind the handshake",
        900,
        _partial_messages,
        websocket=True,
    ),
}
