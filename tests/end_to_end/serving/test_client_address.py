"""The client's address behind proxies, for each worker class: no client can pass for another.

Kludex/uvicorn#701, #1068.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.harness.client import Wire
from tests.harness.server import Server

CASES = [
    ({}, "127.0.0.1", 0),
    ({"X-Forwarded-For": "203.0.113.9"}, "203.0.113.9", 0),
    ({"X-Forwarded-For": "[2001:db8::9]:4711"}, "2001:db8::9", 4711),
    ({"X-Forwarded-For": "junk, 203.0.113.9"}, "203.0.113.9", 0),
    ({"X-Forwarded-For": "unknown, 203.0.113.9, 10.0.0.1"}, "203.0.113.9", 0),
    ({"X-Forwarded-For": "127.0.0.1, , 10.0.0.1"}, "10.0.0.1", 0),
    ({"X-Forwarded-For": "203.0.113.9, junk"}, "127.0.0.1", 0),
    ({"Forwarded": "for=unknown, for=203.0.113.9;proto=https"}, "203.0.113.9", 0),
    ({"Forwarded": 'for="127.0.0.1, for="[2001:db8::9]:4711"'}, "2001:db8::9", 4711),
    ({"Forwarded": "for=127.0.0.1, for=_hidden, for=10.0.0.1"}, "10.0.0.1", 0),
]
KINDS = {
    "sync": ("tests.apps.address:wsgi",),
    "thread": ("tests.apps.address:wsgi", "--threads", "2", "--loop", "asyncio"),
    "asgi": ("tests.apps.address:asgi",),
    "uvicorn": ("tests.apps.address:asgi", "-k", "uvicorn", "--loop", "asyncio"),
}
TRUSTED = ("--forwarded-allow-ips", "127.0.0.1,10.0.0.0/8")
LOG = ("--access-logfile", "-", "--access-logformat", "client=%(h)s;")


@pytest.fixture(scope="module", params=list(KINDS))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    with Server(*KINDS[request.param], *TRUSTED, *LOG, directory=directory) as server:
        yield server


@pytest.mark.parametrize(("fields", "address", "port"), CASES)
def test_the_application_is_told(
    server: Server, fields: dict[str, str], address: str, port: int
) -> None:
    found = json.loads(server.get("/", **fields).body)
    assert found[0] == address
    if fields:
        assert int(found[1] or 0) == port or address == "127.0.0.1"
    assert found[2] == ("https" if "proto=https" in str(fields) else "http")


def test_the_access_log_is_told(server: Server) -> None:
    """On one connection, each request more than once; and whatever the application claims."""
    with Wire(server.port) as wire:
        for _ in range(3):
            for fields, _, _ in CASES:
                wire.get("/", *(f"{name}: {value}" for name, value in fields.items()))
    wanted = [address for _, address, _ in CASES] * 3

    server.until(lambda: logged(server)[-len(wanted) :] == wanted, "each client is in the log")


def logged(server: Server) -> list[str]:
    """The clients in the access log."""
    return re.findall(r"client=([^;]*);", server.out) or re.findall(
        r"^uvicorn says: (\S+):\d+ - ", server.out, re.MULTILINE
    )


def test_a_peer_that_is_not_trusted_is_not_believed(tmp_path: Path) -> None:
    for kind, options in KINDS.items():
        directory = tmp_path / kind
        directory.mkdir()
        with Server(*options, "--forwarded-allow-ips", "10.0.0.0/8", directory=directory) as server:
            for fields, _, _ in CASES:
                found = json.loads(server.get("/", **fields).body)
                assert (found[0], found[2]) == ("127.0.0.1", "http")


def _told_by_websocket(server: Server, fields: dict[str, str]) -> Any:
    url = f"ws://127.0.0.1:{server.port}/"
    with connect(url, additional_headers=fields, proxy=None) as socket:
        return json.loads(socket.recv())


def test_a_websocket_is_told(tmp_path: Path) -> None:
    for kind in ("asgi", "uvicorn"):
        directory = tmp_path / kind
        directory.mkdir()
        with Server(*KINDS[kind], *TRUSTED, directory=directory) as server:
            for fields, address, _ in CASES:
                found = _told_by_websocket(server, fields)
                assert found[0] == address
                assert found[2] == ("wss" if "proto=https" in str(fields) else "ws")


def test_wsgi_under_uvicorn(tmp_path: Path) -> None:
    with Server(KINDS["sync"][0], "-k", "uvicorn", *TRUSTED, *LOG, directory=tmp_path) as server:
        found = json.loads(server.get("/", **{"X-Forwarded-For": "junk, 203.0.113.9"}).body)
        assert found[0] == "203.0.113.9"
        server.until(lambda: logged(server) == ["203.0.113.9"], "it is in the log")
