"""A connection that was accepted and has no transport yet, because a request holds the loop."""

import asyncio
from typing import cast

from pyfork.http.connection.connection import Connection


class Opening:
    """An accepted client, as `offloader.Movable`."""

    def __init__(self, protocol: asyncio.Protocol, fd: int) -> None:
        # Or a TlsTransport, which has the same methods.
        self._connection = cast(Connection, protocol)
        self._fd = fd
        self.kept = self._connection.kept

    def fileno(self) -> int:
        """Return the descriptor of its socket."""
        return self._fd

    @property
    def can_hand_off(self) -> bool:
        """Whether it still is this worker's: nothing was read of it.

        A second request may hold the loop before the transport is made, and thus closed. If two
        workers had the connection, each would read a part of the next request.
        """
        return not self._connection.handing_off

    def finish_handoff(self) -> None:
        """Another worker has it: it is closed when its transport is made."""
        self._connection.finish_handoff()
