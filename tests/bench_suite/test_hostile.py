"""The attacks do what they say, on a server that only listens."""

import multiprocessing
import socket

import pytest

from tests.bench.attacks import ATTACKS, MIB, Attack
from tests.bench.hostile import Cost, ask, free_port


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_sent_is_bounded(name: str) -> None:
    sent = sum(map(len, ATTACKS[name].data()))
    assert sent > 0
    assert sent * ATTACKS[name].connections <= 200 * MIB


def test_connections_are_made_and_fed() -> None:
    attack = Attack("three bytes on two connections", 2, lambda: iter((b"a", b"b", b"c")))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        attacker = multiprocessing.get_context("fork").Process(
            target=attack.run, args=(listener.getsockname()[1],)
        )
        attacker.start()
        try:
            for _ in range(attack.connections):
                with listener.accept()[0] as client, client.makefile("rb") as stream:
                    client.settimeout(10)
                    assert stream.read(3) == b"abc"
        finally:
            attacker.kill()
            attacker.join()
            attacker.close()


def test_what_counts_as_bounded() -> None:
    assert Cost(63.0, 49.0, 0).is_bounded
    assert not Cost(65.0, 1.0, 0).is_bounded
    assert not Cost(1.0, 51.0, 0).is_bounded
    assert not Cost(1.0, 1.0, 1).is_bounded
    assert ask(free_port()) == 2.0  # nobody is there
