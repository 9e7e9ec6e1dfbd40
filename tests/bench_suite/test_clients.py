"""What our own clients take for an answer, and what they refuse to measure."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from tests.bench.clients import check_idle, check_streams, idle
from tests.bench.content import HELD, HELD_SECONDS
from tests.bench.running import Unfit

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


@contextmanager
def answering(*pieces: bytes, pause: float = 0, close: bool = False) -> Iterator[int]:
    """A server of one connection: answers one request with these, a pause between; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client, suppress(ConnectionError):
                client.recv(65536)
                send(client, pieces, pause)
                if not close:
                    client.recv(1)  # until the client leaves

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def send(client: socket.socket, pieces: Sequence[bytes], pause: float) -> None:
    for number, piece in enumerate(pieces):
        if number:
            time.sleep(pause)
        client.sendall(piece)


def test_a_stream_that_comes_piece_by_piece_is_one() -> None:
    with answering(HEAD + b"ab", b"cd", pause=HELD_SECONDS) as port:
        check_streams(port, HELD, 4)


def test_a_stream_that_comes_as_one_is_none() -> None:
    with answering(HEAD + b"abcd") as port, pytest.raises(Unfit, match="it streams nothing"):
        check_streams(port, HELD, 4)


def test_a_stream_must_be_whole() -> None:
    with answering(HEAD + b"ab", close=True) as port, pytest.raises(Unfit, match="whole answer"):
        check_streams(port, HELD, 4)


def test_an_answer_is_read_whole_before_its_connection_idles() -> None:
    with answering(HEAD, b"ab", b"cd", pause=0.02) as port, idle(port, 1) as clients:
        check_idle(clients)


def test_who_has_closed_idle_connections_is_found_out() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        check_idle([ours])
        theirs.close()
        with pytest.raises(Unfit, match="closed 1 of 1 idle"):
            check_idle([ours])


def test_who_closes_after_an_answer_keeps_no_connections() -> None:
    answer = HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"abcd"
    with (
        answering(answer) as port,
        pytest.raises(Unfit, match="keeps no connections"),
        idle(port, 2),
    ):
        pass
