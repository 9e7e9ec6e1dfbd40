"""Handshakes that come all at once: the worker's loop is never held by more than a few."""

import ssl
from itertools import pairwise
from pathlib import Path

from pyfork.http.tls.handshakes import STEPS
from tests.end_to_end.tls.authority import Authority
from tests.fuzz.pipe import Pipe
from tests.fuzz.test_connection import World

CLIENTS = 100


class Client:
    """One that has sent its ClientHello."""

    def __init__(self, pipe: Pipe, context: ssl.SSLContext) -> None:
        self.pipe = pipe
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname="127.0.0.1"
        )
        self.go_on()

    def go_on(self) -> bool:
        """Take what was answered, and answer it. Returns whether the handshake is complete."""
        self.pipe.take(1 << 16)
        self._incoming.write(bytes(self.pipe.sent))
        self.pipe.sent.clear()
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            if hello := self._outgoing.read():
                self.pipe.receive(hello)
        return True


def test_handshakes_of_a_turn_are_bounded(tmp_path: Path) -> None:
    """One client leaves before its turn; all others have their handshake."""
    world = World("asgi-tls", Authority(tmp_path))
    assert world.client is not None
    pipes = [world.connect() for _ in range(CLIENTS)]
    clients = [Client(pipe, world.client) for pipe in pipes]
    pipes[-1].reset()
    answered = [0, count_answered(pipes)]  # after each turn
    while answered[-1] < CLIENTS - 1:
        world.turn()
        answered.append(count_answered(pipes))
        assert len(answered) < 10 * CLIENTS
    assert max(after - before for before, after in pairwise(answered)) <= STEPS
    assert all(client.go_on() for client in clients[:-1])
    for pipe in pipes[:-1]:
        pipe.reset()
    world.close()


def count_answered(pipes: list[Pipe]) -> int:
    """How many clients have an answer to take."""
    return sum(pipe.get_write_buffer_size() > 0 for pipe in pipes)
