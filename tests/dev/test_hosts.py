"""The names under which the error page shows source code."""

import json

import pytest

from pyfork.address import Inet
from pyfork.dev.errors.hosts import host_of, is_developers
from tests.dev.project import PATIENCE, Development, Project

SECRETS = (b"hunter2", b"goods", b"prices.py", b"password", b"line 1")


@pytest.mark.parametrize(
    ("field", "own"),
    [
        ("localhost", True),
        ("localhost:8000", True),
        ("LocalHost.:8000", True),
        ("shop.localhost", True),
        ("127.0.0.1:8000", True),
        ("192.168.1.7", True),
        ("[::1]:8000", True),
        ("[fe80::1]", True),
        ("shop.test:8000", True),
        ("SHOP.test", True),
        ("", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("notlocalhost", False),
        ("127.0.0.1.evil.example", False),
        ("127.0.0.1.nip.io:8000", False),
        ("127.1", False),
        ("2130706433", False),
        ("a.shop.test", False),
        ("[evil.example]", False),
        ("localhost,evil.example", False),
        ("localhost@evil.example", False),
        ("evil.example:localhost", False),
        ("localhost\0.evil.example", False),
    ],
)
def test_hosts(field: str, own: bool) -> None:
    assert is_developers(host_of(field), ("shop.test:80", "[::7]")) is own


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("shop.test", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert Inet(host, 80).loopback is loopback


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_another_name_sees_no_source(project: Project, accept: str) -> None:
    """All of the answer can be read by the attacker's page, which is of the same origin by name."""
    project.write("goods/prices.py", "password = 'hunter2'; raise ValueError(password)\n")
    with Development(project, "shop:app", "--reload-host", "shop.test") as server:
        rebound = server.get("/", Host="evil.example", Accept=accept)
        assert rebound.status == 500
        assert not [each for each in SECRETS if each in rebound.body]
        assert str(project.directory).encode() not in rebound.body
        assert b"ValueError" in rebound.body
        assert b"--reload-host evil.example" in rebound.body
        for host in ("localhost", "127.0.0.1:1", "shop.test"):
            own = server.get("/", Host=host, Accept=accept)
            assert b"hunter2" in own.body
        if accept == "application/json":
            keys = [set(json.loads(each.body)) for each in (own, rebound)]
            assert keys[0] == keys[1]
        assert own.headers["Pyfork-Fault"] != rebound.headers["Pyfork-Fault"]
        project.price("healed")

        def healed() -> bool:
            answer = server.get("/", Host="evil.example")
            return (answer.status, answer.body) == (200, b"healed")

        server.until(healed, "the application is served to every host", PATIENCE)


@pytest.mark.parametrize(("address", "said"), [("0.0.0.0:0", 1), ("127.0.0.1:0", 0)])
def test_the_console_says_once_that_others_can_read_it(
    project: Project, address: str, said: int
) -> None:
    with Development(project, "shop:app", "-b", address) as server:
        server.answers("one")
        project.price("two")
        server.answers("two")
        assert server.log.count("--reload shows source code") == said
