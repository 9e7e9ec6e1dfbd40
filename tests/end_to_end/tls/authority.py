"""An authority of our own, what it issues, and clients that know it."""

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import trustme

from tests.harness.server import PATIENCE, Answer, Server, exchange


class Authority:
    """Writes what it issues below ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, file: str = "site", **options: Any) -> tuple[str, str]:
        """Paths of a new certificate for ``names`` and of its key; put in place at once."""
        issued = self._ca.issue_cert(*names, **options)
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        return (
            str(_put(self._directory / f"{file}.pem", chain)),
            str(_put(self._directory / f"{file}.key", issued.private_key_pem.bytes())),
        )

    def options(self, *names: str, **options: Any) -> list[str]:
        """What a server is started with to be ``names``, or else 127.0.0.1."""
        certificate, key = self.issue(*(names or ("127.0.0.1", "localhost")), **options)
        return ["--certfile", certificate, "--keyfile", key]

    def client(self, certificate: tuple[str, str] | None = None) -> ssl.SSLContext:
        """A client that trusts this authority."""
        context = ssl.create_default_context(cafile=str(self.file))
        if certificate:
            context.load_cert_chain(*certificate)
        return context


def _put(path: Path, content: bytes) -> Path:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    os.replace(fresh, path)
    return path


@contextmanager
def connected(
    server: Server, context: ssl.SSLContext, name: str = "127.0.0.1"
) -> Iterator[HTTPSConnection]:
    """A connection on which ``name`` was asked for, and the certificate was for it."""
    connection = HTTPSConnection("127.0.0.1", server.port, timeout=PATIENCE, context=context)
    raw = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    try:
        connection.sock = context.wrap_socket(raw, server_hostname=name)
        yield connection
    finally:
        connection.close()
        raw.close()


def get(server: Server, context: ssl.SSLContext, target: str = "/", **options: str) -> Answer:
    """GET on a connection of its own."""
    with connected(server, context, **options) as connection:
        return exchange(connection, "GET", target)


def shown(server: Server, context: ssl.SSLContext, name: str = "127.0.0.1") -> str:
    """The serial number of the certificate that a client sees who asks for ``name``."""
    with connected(server, context, name) as connection:
        found = connection.sock.getpeercert()
        assert found
        return str(found["serialNumber"])
