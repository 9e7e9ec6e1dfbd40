"""Clients of our own, for what wrk does not do. All of them run in this thread."""

import re
import select
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPException

from tests.bench.content import HELD_SECONDS
from tests.bench.running import PATIENCE, Unfit

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
GET_AND_CLOSE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
PIECE = 1 << 20

# RFC 6455 1.2 (its example key) and 5.2: a text frame of 32 letters, masked with zeros.
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
LETTERS = b"abcdefgh" * 4
FRAME = bytes([0x81, 0x80 | len(LETTERS)]) + bytes(4) + LETTERS
ECHO = bytes([0x81, len(LETTERS)]) + LETTERS


def download(port: int, seconds: float, length: int) -> float:
    """Bytes a second of one file after the other, on one connection each. Raises Unfit."""
    began = time.monotonic()
    total = 0
    while time.monotonic() - began < seconds:
        total += _download_once(port, length)
    return total / (time.monotonic() - began)


def _download_once(port: int, length: int) -> int:
    """The length of the body, which must be ``length``."""
    room = bytearray(PIECE)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(GET_AND_CLOSE)
        head, _, body = client.recv(65536).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise Unfit(f"it answers {head[:60]!r}" if head else "it closes without an answer")
        got = len(body)
        # With MSG_TRUNC the kernel throws away what it has: the client costs next to nothing.
        while got < length and (piece := client.recv_into(room, PIECE, socket.MSG_TRUNC)):
            got += piece
    if got != length:
        raise Unfit(f"{got} of {length} bytes came")
    return got


def check_streams(port: int, path: str, length: int) -> None:
    """The first piece must come by itself (PEP 3333: no block is delayed). Raises Unfit."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with closing(connection):
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            first = response.read1(length)
            began = time.monotonic()
            rest = response.read()
        except (OSError, HTTPException) as error:
            raise Unfit(f"no whole answer: {error!r}") from None
    if len(first) + len(rest) != length:
        raise Unfit(f"{len(first) + len(rest)} of {length} bytes came")
    if time.monotonic() - began < HELD_SECONDS / 2:
        raise Unfit("it streams nothing: all pieces are sent as one when the last is there")


@contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many connections, not yet used."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            for _ in range(count)
        ]


@contextmanager
def idle(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many connections that were used once and are kept. Raises Unfit if they are not."""
    with ExitStack() as stack:
        clients: list[socket.socket] = []
        for _ in range(count):
            try:
                client = socket.create_connection(("127.0.0.1", port), 5)
                clients.append(stack.enter_context(client))
                client.sendall(GET)
                answer = b""
                while read_body(answer) is None:  # some write the body apart
                    if not (piece := client.recv(65536)):
                        raise Unfit(f"it closes connection {len(clients)} without an answer")
                    answer += piece
            except OSError as error:
                raise Unfit(f"no answer on connection {len(clients)}: {error}") from error
            if b"connection: close" in answer.lower():
                raise Unfit(f"it keeps {len(clients) - 1 or 'no'} connections, and no more")
        yield clients


def check_idle(clients: Sequence[socket.socket]) -> None:
    """None of them may have been closed meanwhile. Raises Unfit."""
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLIN)
    if closed := poll.poll(0):  # they wait for nothing, so what comes is the end
        raise Unfit(f"it has closed {len(closed)} of {len(clients)} idle connections")


def talk(
    clients: Sequence[socket.socket],
    message: bytes,
    seconds: float,
    read: Callable[[bytes], bytes | None],
) -> Counter[bytes]:
    """Send on all, and again when the answer is there; the answers, counted.

    ``read`` gets what has come, and returns what is to be counted, or None until it is whole.
    Raises Unfit if the server closes a connection, or is silent.
    """
    answers: Counter[bytes] = Counter()
    until = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.sendall(message)
            selector.register(client, selectors.EVENT_READ, [b""])
        while time.monotonic() < until:
            ready = selector.select(PATIENCE)
            if not ready:
                raise Unfit(f"no answer for {PATIENCE:.0f} s")
            for key, _ in ready:
                _step(key, message, read, answers)
    return answers


def _step(
    key: selectors.SelectorKey,
    message: bytes,
    read: Callable[[bytes], bytes | None],
    answers: Counter[bytes],
) -> None:
    """Read from one client, and let it send again if that was all."""
    client = key.fileobj
    assert isinstance(client, socket.socket)
    try:
        data = client.recv(65536)
    except ConnectionError:
        data = b""
    if not data:
        raise Unfit("it closes connections that were to be kept")
    key.data[0] += data
    answer = read(key.data[0])
    if answer is not None:
        answers[answer] += 1
        key.data[0] = b""
        client.sendall(message)


def upgrade(clients: Sequence[socket.socket]) -> None:
    """Make WebSockets of them. Raises Unfit."""
    for client in clients:
        client.sendall(UPGRADE)
        answer = client.recv(4096)
        if not answer.startswith(b"HTTP/1.1 101 ") or not answer.endswith(b"\r\n\r\n"):
            raise Unfit(f"it answers a handshake with {answer[:60]!r}")


def read_echo(data: bytes) -> bytes | None:
    """For `talk`: our own frame, without a mask."""
    if len(data) < len(ECHO):
        return None
    if data != ECHO:
        raise Unfit(f"it echoes {data[:60]!r}")
    return data


def read_body(data: bytes) -> bytes | None:
    """For `talk`: the body of a 200 with a Content-Length."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    if not head.startswith(b"HTTP/1.1 200"):
        raise Unfit(f"it answers {head[:60]!r}")
    field = re.search(rb"(?mi)^content-length: *(\d+)", head)
    if not field:
        raise Unfit("it answers without a Content-Length")
    length = int(field[1])
    return body if len(body) >= length else None
