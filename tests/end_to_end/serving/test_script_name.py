"""SCRIPT_NAME of a WSGI application: of a trusted proxy, of --root-path, of the environment."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from pyfork.errors import ExitStatus
from tests.harness.client import Wire
from tests.harness.server import Server

APP = """
import json, os

if "LATE" in os.environ:
    os.environ["SCRIPT_NAME"] = os.environ["LATE"]

def app(environ, start_response):
    names = "SCRIPT_NAME", "PATH_INFO", "REQUEST_URI"
    body = json.dumps([environ[name] for name in names]).encode()
    assert not [name for name in environ if name.startswith("HTTP_S")]
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def serve(directory: Path, *options: str, **env: str) -> Server:
    (directory / "where.py").write_text(APP)
    return Server("where:app", *options, directory=directory, cwd=directory, env=env)


def found(server: Server, target: str, **fields: str) -> tuple[str, str]:
    name, path, uri = json.loads(server.get(target, **fields).body)
    assert uri == target
    return name, path


@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_of_a_trusted_proxy(kind: str, tmp_path: Path) -> None:
    """benoitc/gunicorn#3192"""
    with serve(tmp_path, "-k", kind, "--root-path", "/base") as server:
        for _ in range(3):  # and from memory
            assert found(server, "/shop/a%20b", SCRIPT_NAME="/shop") == ("/shop", "/a b")
            assert found(server, "/base/a") == ("/base", "/a")
            assert found(server, "/cut", SCRIPT_NAME="/shop") == ("/shop", "/cut")
            assert found(server, "/shop", SCRIPT_NAME="/shop/") == ("/shop", "")
            assert found(server, "/shops", SCRIPT_NAME="/shop") == ("/shop", "/shops")
            assert found(server, "/base/a", SCRIPT_NAME="/") == ("", "/base/a")
            for wrong in ("shop", "//evil.example", "/a,/b", "/a?b", "/a b", "/\\evil.example"):
                assert found(server, "/base/a", SCRIPT_NAME=wrong) == ("/base", "/a")


def test_on_one_connection(tmp_path: Path) -> None:
    """What is remembered of a connection's last head is of that head only."""
    with serve(tmp_path) as server, Wire(server.port) as wire:
        for name in ("/shop", "", "/b", "") * 3:
            answer = wire.get("/shop/a", *([f"SCRIPT_NAME: {name}"] if name else []))
            path = "/a" if name == "/shop" else "/shop/a"
            assert json.loads(answer.body)[:2] == [name, path]


def test_of_another_client_it_is_nothing(tmp_path: Path) -> None:
    with serve(tmp_path, "--forwarded-allow-ips", "192.0.2.1") as server:
        assert found(server, "/shop/a", SCRIPT_NAME="/shop") == ("", "/shop/a")


@pytest.mark.parametrize(
    ("options", "env", "name"),
    [
        ((), {"SCRIPT_NAME": "/shop"}, "/shop"),
        (("--env", "SCRIPT_NAME=/shop/"), {}, "/shop"),
        (("--env", "SCRIPT_NAME=/é"), {}, "/é"),
        (("-c", "shop_gunicorn.py"), {}, "/raw"),
        ((), {"LATE": "/late"}, "/late"),
        (("--root-path", "/base"), {"SCRIPT_NAME": "/shop"}, "/base"),
    ],
    ids=["process", "option", "not ASCII", "raw_env", "application", "root path"],
)
def test_of_the_environment(
    options: tuple[str, ...], env: dict[str, str], name: str, tmp_path: Path
) -> None:
    """benoitc/gunicorn#16, #3076"""
    (tmp_path / "shop_gunicorn.py").write_text("raw_env = ['SCRIPT_NAME=/raw']\n")
    with serve(tmp_path, *options, **env) as server:
        target = quote(f"{name}/a")
        assert found(server, target) == (name.encode().decode("latin-1"), "/a")
        assert found(server, "/b/a", SCRIPT_NAME="/b") == ("/b", "/a")


def test_what_is_no_path_is_told(tmp_path: Path) -> None:
    server = serve(tmp_path, SCRIPT_NAME="shop")
    server.ready = server.clean = False
    with server:
        assert server.wait() == ExitStatus.BOOT
        assert "SCRIPT_NAME: 'shop' is not a URL path" in server.log
