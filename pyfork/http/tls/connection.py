"""A connection over TLS."""

from collections.abc import Mapping
from typing import Any

from pyfork.http.connection.connection import Connection
from pyfork.http.connection.engine import Engine
from pyfork.http.tls.client_certificate import environ, extension
from pyfork.http.tls.transport import TlsTransport


class TlsConnection(Connection):
    """A connection that cannot be handed off, since its keys are in this process.

    In a drain its next response announces the close.
    """

    __slots__ = ("_environ", "_extension")

    transport: TlsTransport

    def __init__(self, engine: Engine[Connection]) -> None:
        super().__init__(engine)
        self.scheme = "https"
        self._environ: Mapping[str, str] | None = None
        self._extension: Mapping[str, Any] | None = None

    @property
    def environ(self) -> Mapping[str, str]:
        """The client's variables for WSGI."""
        if self._environ is None:
            self._environ = environ(self.transport.get_extra_info("ssl_object"))
        return self._environ

    @property
    def extension(self) -> Mapping[str, Any]:
        """The client's properties in ASGI's TLS extension."""
        if self._extension is None:
            self._extension = extension(self.transport.get_extra_info("ssl_object"))
        return self._extension

    @property
    def is_last_response(self) -> bool:
        return (self.closing or self.engine.draining) and not self.waiting

    def drain(self) -> None:
        if self.engine.on_idle is None:  # the port closes
            super().drain()

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def write_now(self, data: bytes | memoryview) -> int:
        return self.transport.write_now(data)

    def readable(self) -> bool:
        return self.transport.has_pending or super().readable()

    def abort(self) -> None:
        if self.idle:
            self.transport.close()  # all output was sent
        else:
            super().abort()
