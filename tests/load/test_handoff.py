"""Single connections around a reload: what is on its way when one changes hands."""

import signal
import socket
from pathlib import Path

import pytest

from tests.load.content import big, title
from tests.load.running import KINDS, Code, serve
from tests.server import Server
from tests.serving.wire import Wire

GET = b"GET /%b?n=%b HTTP/1.1\r\nHost: a\r\n\r\n"


def reload(server: Server, code: Code, generation: int) -> None:
    """Deploy, and wait until the new code serves."""
    code.write(str(generation))
    server.signal(signal.SIGHUP)
    server.wait_log(f"generation {generation} serves")


@pytest.mark.parametrize("kind", KINDS)
def test_a_response_that_is_still_leaving_leaves_whole(tmp_path: Path, kind: str) -> None:
    code = Code(tmp_path)
    with serve(code, kind, 1, tmp_path) as server, Wire(server.port, small=True) as wire:
        wire.send(GET % (b"whole", b"first"))
        old = server.workers()[0]
        server.until(lambda: wire.socket.recv(1, socket.MSG_PEEK), "the answer has begun")
        reload(server, code, 2)
        server.until(lambda: len(server.workers()) == 2, "both are there")
        assert wire.read().body == title("first", "1") + big()
        server.until(lambda: not old.is_running(), "the old one is gone")
        wire.send(GET % (b"small", b"second"))
        assert wire.read().body == title("second", "2")
