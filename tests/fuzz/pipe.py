"""A transport of our own, in process: the client's side is moved by the test, and so is time.

It is stricter than the loops are: whatever is written behind an end raises.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Any

SocketProtocol = asyncio.Protocol | asyncio.BufferedProtocol

HIGH, LOW = 64 * 1024, 16 * 1024  # the marks of the loops


class Pipe(asyncio.Transport):
    """A connection of which the kernel takes only what `take` says.

    ``sent`` is what the client has got so far; ``most`` how many bytes ever waited for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: SocketProtocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        # What is written past the transport goes through here, before what waits in it.
        self._socket, self._other = socket.socketpair()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for end in (self._socket, self._other):
            end.setblocking(False)
        self._waiting = bytearray()
        self._write_paused = False
        self._high, self._low = HIGH, LOW
        self.sent = bytearray()
        self.most = 0
        self.reading = True
        self.closing = False
        self.eof = False
        self.lost = False
        self.gone = False  # the client has reset it: loops drop what is written before they say so
        self.misuse: list[str] = []
        protocol.connection_made(self)

    # The client's side.

    def receive(self, data: bytes) -> None:
        """Bytes from the client; the test asks `reading` first."""
        protocol = self._protocol
        if isinstance(protocol, asyncio.Protocol):
            protocol.data_received(data)
        while isinstance(protocol, asyncio.BufferedProtocol) and data and not self.lost:
            buffer = protocol.get_buffer(-1)
            size = min(len(buffer), len(data))
            buffer[:size], data = data[:size], data[size:]
            protocol.buffer_updated(size)

    def receive_eof(self) -> None:
        """The client sends no more."""
        if not self._protocol.eof_received():
            self.close()

    def take(self, count: int) -> None:
        """The client reads."""
        with suppress(OSError):  # there is nothing, or it is closed
            while count and (data := self._other.recv(count)):
                self.sent += data
                count -= len(data)
        self.sent += self._waiting[:count]
        del self._waiting[:count]
        if self._write_paused and len(self._waiting) <= self._low and not self.lost:
            self._write_paused = False
            self._protocol.resume_writing()
        if self.closing and not self._waiting:
            self._lose(None)

    def reset(self) -> None:
        """The client has gone."""
        self.gone = True
        self._waiting.clear()
        self.closing = True
        self._lose(ConnectionResetError())

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            self._loop.call_soon(self._connection_lost, error)

    def _connection_lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)
        self.take(1 << 20)
        self._socket.close()
        self._other.close()

    # The server's side.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.gone:
            return
        if self.eof or self.closing:
            self.misuse.append(f"write({bytes(data[:20])!r}) behind the end")
            raise RuntimeError("write behind the end")
        self._waiting += data
        self.most = max(self.most, len(self._waiting))
        if len(self._waiting) > self._high and not self._write_paused:
            self._write_paused = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self.closing and not self.gone:
            self.misuse.append("write_eof() behind the end")
        self.eof = True

    def close(self) -> None:
        self.closing = True
        self.reading = False
        if not self._waiting:
            self._lose(None)

    def abort(self) -> None:
        self.closing = True
        self._waiting.clear()
        self._lose(None)

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = not self.closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, SocketProtocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        known = {"peername": ("127.0.0.1", 4000), "sockname": ("127.0.0.1", 8000)}
        return self._socket if name == "socket" else known.get(name, default)
