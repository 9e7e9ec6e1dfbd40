"""httpbin: its own tests, each request of which goes to a server."""

import http.client
import io
import subprocess
import sys
import tarfile
import unittest
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.end_to_end.realworld.proof import KINDS
from tests.harness.server import Server

pytestmark = pytest.mark.soak

httpbin = pytest.importorskip("httpbin", exc_type=ImportError)

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


class Forwarder:
    """A WSGI application that has another server answer.

    It is what the framework's test client calls in the place of the application, so that its
    tests run as they are.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        connection.putrequest(
            environ["REQUEST_METHOD"],
            environ["REQUEST_URI"],
            skip_host=True,
            skip_accept_encoding=True,
        )
        for name, value in fields(environ):
            connection.putheader(name, value)
        chunked = environ.get("HTTP_TRANSFER_ENCODING") == "chunked"
        length = int(environ.get("CONTENT_LENGTH") or 0)
        connection.endheaders(environ["wsgi.input"].read(length) or None, encode_chunked=chunked)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        kept = [field for field in response.getheaders() if field[0].lower() not in HOP_BY_HOP]
        start_response(f"{response.status} {response.reason}", kept)
        return [body]


def fields(environ: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """The header fields of a request."""
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    for key, value in environ.items():
        if key.startswith("HTTP_") and key != "HTTP_":  # which some of its tests make
            yield key[5:].replace("_", "-"), value
        elif key == "CONTENT_TYPE" or (key == "CONTENT_LENGTH" and not chunked):
            yield key.replace("_", "-"), value


@pytest.fixture(scope="module")
def its_tests(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The tests of the release that is installed, from its source distribution."""
    directory = tmp_path_factory.mktemp("httpbin")
    wanted = f"httpbin=={version('httpbin')}"
    pip = ("pip", "download", "-q", "--no-deps", "--no-binary", ":all:")
    command = [sys.executable, "-m", *pip, "-d", str(directory), wanted]
    if subprocess.run(command).returncode:
        pytest.skip("the source distribution of httpbin cannot be had")
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        (name,) = (each for each in sources.getnames() if each.endswith("/test_httpbin.py"))
        member = sources.extractfile(name)
        assert member
        module = ModuleType("test_httpbin")
        exec(compile(io.TextIOWrapper(member, "utf-8").read(), name, "exec"), module.__dict__)
    return module


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_its_own_tests_pass(tmp_path: Path, its_tests: ModuleType, kind: str) -> None:
    from werkzeug.test import Client

    class Case(its_tests.HttpbinTestCase):  # type: ignore[misc, name-defined]
        """Asked of the server."""

        def setUp(self) -> None:
            self.app = Client(Forwarder(server.port), httpbin.app.response_class)

        def test_post_chunked(self) -> None:
            """Its own wants 501, for there are servers that do not read such a body."""
            headers = [("Transfer-Encoding", "chunked")]
            response = self.app.post("/post", data='{"animal":"dog"}', headers=headers)
            assert response.status_code == 200
            assert response.json["json"] == {"animal": "dog"}

    with Server("httpbin:app", *KINDS[kind], directory=tmp_path) as server:
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(Case)
        result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    assert result.testsRun > 50
    assert result.wasSuccessful()
