"""The ssl_context hook, in a server that speaks TLS."""

import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from pyfork.errors import ExitStatus
from tests.harness.server import PATIENCE, Server
from tests.hooks.conftest import Place

pytestmark = pytest.mark.needs("openssl")


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """A certificate of its own, for the command line."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    files = ["-subj", "/CN=localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*made.split(), *files], check=True, capture_output=True, timeout=30)
    return ["--certfile", certificate, "--keyfile", key]


def configure(place: Place, *lines: str) -> None:
    body = "\n    ".join(lines)
    (place.directory / "pyfork.conf.py").write_text(
        f"import ssl\ndef ssl_context(config, default):\n    {body}\n"
    )


def version(server: Server, *, newest: ssl.TLSVersion) -> str | None:
    """The version of TLS that the server speaks with a client that knows none above ``newest``."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = newest
    with (
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as end,
    ):
        return end.version()


def test_its_context_is_the_one_that_is_used(place: Place, options: list[str]) -> None:
    configure(
        place,
        "context = default()",
        "context.minimum_version = ssl.TLSVersion.TLSv1_3 if config.certfile else None",
        "return context",
    )
    server = place.serve("tests.apps.wsgi:app", *options)
    assert version(server, newest=ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        version(server, newest=ssl.TLSVersion.TLSv1_2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 / 0", "hook ssl_context failed: ZeroDivisionError"),
        ("return 3", "hook ssl_context must return the context that default() makes"),
    ],
)
def test_a_failure_stops_the_start(
    line: str, message: str, place: Place, options: list[str]
) -> None:
    configure(place, line)
    server = place.serve("tests.apps.wsgi:app", *options, ready=False, clean=False)
    assert server.wait() == ExitStatus.USAGE
    assert f"pyfork: error: {message}" in server.log
