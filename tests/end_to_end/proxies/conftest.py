"""A server of each interface, and each proxy before it, over TCP and a unix socket."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.proxies.reverse_proxies import PROXIES, Front, front
from tests.harness.server import Server

APPS = {"wsgi": "tests.apps.kinds:app", "asgi": "tests.apps.asgi_kinds:app"}


@dataclass(frozen=True, slots=True)
class ProxySite:
    """A server, and the proxy that clients see."""

    interface: str
    server: Server
    front: Front
    directory: Path  # of the proxy


@pytest.fixture(scope="package", params=APPS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Server]]:
    """One process, for the applications keep their notes in memory."""
    directory = tmp_path_factory.mktemp(request.param)
    places = ("-b", "127.0.0.1:0", "-b", f"unix:{directory}/shop.sock")
    options = (*places, *(("--threads", "4") if request.param == "wsgi" else ()))
    with Server(APPS[request.param], *options, directory=directory) as server:
        yield request.param, server


@pytest.fixture(scope="package", params=["tcp", "unix"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="package", params=PROXIES)
def site(
    request: pytest.FixtureRequest,
    server: tuple[str, Server],
    transport: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ProxySite]:
    interface, running = server
    upstream = f"127.0.0.1:{running.port}" if transport == "tcp" else running.urls[1]
    directory = tmp_path_factory.mktemp(request.param)
    with front(request.param, upstream, directory) as found:
        yield ProxySite(interface, running, found, directory)
