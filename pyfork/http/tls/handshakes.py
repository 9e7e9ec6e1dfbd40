"""The TLS handshakes of a worker that are not over yet, and how long they may take."""

import asyncio
import logging
from collections.abc import Callable

from pyfork.http.connection.deadlines import LINGER, NEVER
from pyfork.http.connection.engine import Engine
from pyfork.http.tls.transport import TlsTransport
from pyfork.net.tls.context import Context

log = logging.getLogger("pyfork.error")


class Handshakes:
    """The clients of a worker that are not connections yet, and how long they may take."""

    def __init__(
        self,
        engine: Engine,
        context: Context,
        *,
        new_connection: Callable[[Engine], asyncio.Protocol],
        limit: float,
        changed: Callable[[], None],
    ) -> None:
        """``limit`` is in seconds, 0 for none. ``changed`` is called when a handshake fails."""
        self.engine = engine
        self.context = context
        self.open: dict[TlsTransport, float] = {}  # and since when, in monotonic seconds
        self._limit = limit or NEVER
        self._changed = changed
        self.new_connection = new_connection

    def new_transport(self) -> TlsTransport:
        """For a client that was just accepted."""
        return TlsTransport(self)

    def sweep(self, now: float) -> None:
        """End what is late. ``now`` is monotonic seconds."""
        limit = min(self._limit, LINGER) if self.engine.draining else self._limit
        for transport, since in list(self.open.items()):
            if now - since >= limit:
                log.debug("%s took too long over its handshake", transport.peer)
                transport.abort()

    def cut(self) -> None:
        """End all."""
        for transport in list(self.open):
            transport.abort()

    def lost(self, transport: TlsTransport) -> None:
        """It came to nothing."""
        if self.open.pop(transport, None) is not None:
            self.engine.count(-1)
            self._changed()
