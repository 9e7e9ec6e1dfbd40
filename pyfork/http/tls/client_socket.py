"""The socket under a TLS session: its peer, its buffer, and a client that has sent nothing yet."""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from pyfork.http.connection.connection import Connection
from pyfork.http.connection.engine import Engine
from pyfork.http.connection.timeouts.deadlines import NEVER
from pyfork.http.connection.transport import readable
from pyfork.net.tls.session import Context


class HandshakeOwner(Protocol):
    """The part of `Handshakes` that a transport needs."""

    engine: Engine[Connection]
    context: Context
    open: "dict[TlsClientSocket, float]"
    new_connection: Callable[[Engine[Connection]], asyncio.Protocol]

    def may_go_on(self, take_turn: Callable[[], None]) -> bool: ...
    def lost(self, transport: "TlsClientSocket") -> None: ...


class TlsClientSocket(asyncio.BufferedProtocol, asyncio.Transport):
    """The protocol of a client's socket, and the transport of its connection."""

    __slots__ = ("_begun", "_closing", "_handshakes", "_socket")

    def __init__(self, handshakes: HandshakeOwner) -> None:
        super().__init__()
        self._handshakes = handshakes
        self._socket = cast(asyncio.Transport, None)
        self._begun = False  # the client has sent something
        self._closing = False

    @property
    def peer(self) -> str:
        """The client's address for the log."""
        name = self._socket.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else "a client"

    @property
    def silent(self) -> bool:
        """Whether the client has sent nothing yet."""
        return not (self._begun or self._closing)

    @property
    def idle_since(self) -> float:
        """When the client was accepted, in monotonic seconds."""
        return self._handshakes.open.get(self, NEVER)

    def close_idle(self) -> bool:
        """Close if the client has sent nothing yet. Returns whether it did."""
        if not self.silent or readable(self.fileno()):
            return False
        self.abort()
        return True

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        fd: int = self._socket.get_extra_info("socket").fileno()
        return fd

    # Handoff (`ClientTransport`): a session's state is here; a silent client has none.

    kept = False

    @property
    def can_hand_off(self) -> bool:
        """Whether another worker could begin the session."""
        return self.silent and not self._socket.is_closing()

    @property
    def handing_off(self) -> bool:
        """Whether another worker has the connection, or it is closed."""
        return self._closing

    def finish_handoff(self) -> None:
        """Close this copy of the socket; another worker has the connection."""
        if self._socket is not None:  # else when it is made
            self.abort()
        self._closing = True

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._socket.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._socket.set_write_buffer_limits(high, low)
