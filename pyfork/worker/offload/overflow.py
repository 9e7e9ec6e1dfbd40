"""Connections of a worker whose application runs in threads."""

from pyfork.http.connection.connection import Connection


class OverflowConnection(Connection):
    """Where all threads are busy, its next request goes to a free worker, if there is one."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        engine = self.engine
        if not (engine.overflows and self.can_hand_off and engine.overflow(self, data)):
            super().data_received(data)
