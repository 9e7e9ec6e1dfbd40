"""The running TLS handshakes of a worker, with their time limit."""

import asyncio
import logging
from collections.abc import Callable

from pyfork.http.connection.connection import Connection
from pyfork.http.connection.engine import Engine
from pyfork.http.connection.loop_turns import LoopTurns
from pyfork.http.connection.timeouts.deadlines import LINGER, NEVER
from pyfork.http.tls.client_socket import TlsClientSocket
from pyfork.http.tls.transport import TlsTransport
from pyfork.ipc.metric_cells import TLS_FAILURES
from pyfork.net.tls.session import Context

# ClientHellos, and what answers them, that OpenSSL works on in an iteration of the loop: some
# milliseconds with a key of an elliptic curve, 20 with one of RSA.
STEPS = 16

log = logging.getLogger("pyfork.error")


class Handshakes:
    """The clients of a worker whose handshake is not complete."""

    def __init__(
        self,
        engine: Engine[Connection],
        context: Context,
        *,
        new_connection: Callable[[Engine[Connection]], asyncio.Protocol],
        limit: float,
        changed: Callable[[], None],
    ) -> None:
        """``limit`` is in seconds, 0 for none. ``changed`` is called when a handshake fails."""
        self.engine = engine
        self.context = context
        self.open: dict[TlsClientSocket, float] = {}  # with the start in monotonic seconds
        self._limit = limit or NEVER
        self._turns = LoopTurns(engine.loop, STEPS)
        self._changed = changed
        self.new_connection = new_connection

    def new_transport(self) -> TlsTransport:
        """Make the protocol of a client that was just accepted."""
        return TlsTransport(self)

    def may_go_on(self, take_turn: Callable[[], None]) -> bool:
        """Whether a handshake may go on now; else ``take_turn`` is called later."""
        if self._turns.is_over:
            self._turns.wait(take_turn)
            return False
        self._turns.spend(1)
        return True

    def sweep(self, now: float) -> None:
        """Abort handshakes that are late. ``now`` is in monotonic seconds."""
        limit = min(self._limit, LINGER) if self.engine.draining else self._limit
        for transport, since in list(self.open.items()):
            if now - since >= limit:
                log.debug("%s took too long over its handshake", transport.peer)
                transport.abort()

    def cut(self) -> None:
        """Abort all handshakes."""
        for transport in list(self.open):
            transport.abort()

    def lost(self, transport: TlsClientSocket) -> None:
        """Remove a handshake that failed."""
        if self.open.pop(transport, None) is not None:
            self.engine.row.count(TLS_FAILURES)
            self.engine.count(-1)
            self._changed()
