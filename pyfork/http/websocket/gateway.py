"""All WebSocket connections of a worker: their start, and their end in a drain.

The implementation is imported at the first handshake, so other applications do not pay.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pyfork.http.asgi.gateway import AsgiGateway
from pyfork.http.connection.loop_turns import LoopTurns
from pyfork.http.request.head import RequestHead
from pyfork.http.websocket.partial import PartialMessages

# What a worker does in an iteration of its loop: some milliseconds. A frame of six bytes takes as
# long as a small request, and one read may have thousands.
FRAMES = 250
HANDSHAKE = 15  # frames that take as long as a handshake

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection


class WebSocket(Protocol):
    """A WebSocket connection, as far as a drain needs it."""

    def restart(self) -> None:
        """Close with 1012 (service restart), after the handshake if that still runs."""

    def abort(self) -> None:
        """Close the socket at once."""


class WebSockets:
    """All WebSocket connections of a worker."""

    def __init__(self, gateway: AsgiGateway, count: Callable[[int], None], *, memory: int) -> None:
        """``count`` is called with 1 when a connection begins, and with -1 when it has ended.

        ``memory`` is in bytes: of messages that have not come whole, together.
        """
        self.gateway = gateway
        self.connections: set[WebSocket] = set()
        self._turns = LoopTurns(gateway.loop, FRAMES)
        self._partial = PartialMessages(memory)
        self._count = count

    def take(self, connection: "Connection", head: RequestHead, rest: bytes) -> bool:
        """Answer a handshake; ``rest`` has the bytes after it.

        Returns False if that takes place in a later iteration of the loop, which then calls
        `Connection.upgrade_waiting`.
        """
        if self._turns.is_over:
            self._turns.wait(connection.upgrade_waiting)
            return False
        self._turns.spend(HANDSHAKE)
        from pyfork.http.websocket.connection import WebSocketConnection

        websocket = WebSocketConnection(
            self.gateway, connection, self.remove, turns=self._turns, partial=self._partial
        )
        self.connections.add(websocket)
        self._count(1)
        connection.engine.remove(connection)
        websocket.start(head, rest)
        return True

    def remove(self, websocket: WebSocket) -> None:
        """Remove a connection that has ended."""
        self.connections.remove(websocket)
        self._count(-1)

    def drain(self) -> None:
        """Close all with 1012 (service restart); running handshakes complete first."""
        for websocket in list(self.connections):
            websocket.restart()

    def abort(self) -> int:
        """Abort all. Returns how many there were."""
        left = list(self.connections)
        for websocket in left:
            websocket.abort()
        return len(left)
