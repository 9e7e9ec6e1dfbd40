"""An application that frames its response twice: one of the two is dropped, with one warning."""

from pathlib import Path

import pytest

from tests.harness.client import Wire
from tests.harness.server import Server

BOTH = "field=Transfer-Encoding:chunked&field=Content-Length:4&bytes=4"


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_both_fields(tmp_path: Path, interface: str, loop: str) -> None:
    app = f"tests.apps.plain:{interface}"
    with Server(app, "--loop", loop, directory=tmp_path) as server, Wire(server.port) as wire:
        for _ in range(3):
            answer = wire.get(f"/?{BOTH}")
            assert (answer.status, answer.body) == (200, b"xxxx")
            assert answer.headers["content-length"] == "4"
            assert "transfer-encoding" not in answer.headers
        assert server.log.count("sent both Transfer-Encoding and Content-Length") == 1
        assert server.log.count("[WARNING]") == 1
