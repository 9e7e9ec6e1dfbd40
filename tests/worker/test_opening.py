"""A client that was accepted while application code holds the loop."""

from types import SimpleNamespace
from typing import Any

import pytest

from pyfork.http.connection.connection import Connection
from pyfork.http.tls.client_socket import TlsClientSocket
from pyfork.worker.offload.opening import Opening


def plain() -> Any:
    engine: Any = SimpleNamespace(
        new_parser=lambda reader, sink: SimpleNamespace(),
        reader=None,
        proxies=SimpleNamespace(trust=lambda host: False),
        unbuffered=False,
    )
    return Connection(engine)


def tls() -> Any:
    return TlsClientSocket(SimpleNamespace())  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [plain, tls])
def test_it_goes_to_one_worker(make: Any) -> None:
    """Two requests hold the loop before the transport is made: each has its own `Opening`."""
    protocol = make()
    first = Opening(protocol, 5)
    assert first.can_hand_off
    first.finish_handoff()
    assert not Opening(protocol, 5).can_hand_off
