"""WebSocket as it goes over a socket: frames that no library would send."""

import struct
from dataclasses import dataclass

from tests.harness.client import Truncated, Wire, request

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONT = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame from the server."""

    opcode: int
    data: bytes

    @property
    def code(self) -> int:
        """Of a close frame; 1005 for none."""
        return int.from_bytes(self.data[:2]) if self.data else 1005


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A client's frame, with a mask of zeros."""
    head = bytes((fin << 7 | rsv1 << 6 | opcode,))
    if len(data) < 126:
        head += bytes((0x80 | len(data),))
    elif len(data) < 1 << 16:
        head += b"\xfe" + struct.pack("!H", len(data))
    else:
        head += b"\xff" + struct.pack("!Q", len(data))
    return head + bytes(4) + data


def handshake(target: str, *fields: str, version: str = "13") -> bytes:
    return request(
        "GET",
        target,
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Version: {version}",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *fields,
    )


class FrameWire(Wire):
    """A WebSocket client that sends what it is told to."""

    def open(self, target: str, *fields: str) -> dict[str, str]:
        """Shake hands. Returns the fields of the response."""
        self.send(handshake(target, *fields))
        response = self.read()
        assert response.status == 101, response
        return response.headers

    def read_frame(self) -> Frame:
        """The next frame. Raises Truncated where the connection ends before it."""
        try:
            first, length = self._take(2)
            if length == 126:
                length = int.from_bytes(self._take(2))
            elif length == 127:
                length = int.from_bytes(self._take(8))
            return Frame(first & 0x0F, self._take(length))
        except ConnectionError as error:
            raise Truncated(str(error)) from error

    def _take(self, count: int) -> bytes:
        data = self.stream.read(count)
        if len(data) < count:
            raise Truncated("within a frame")
        return data

    def is_at_end(self) -> bool:
        """Whether the server ends the connection, without a reset, and says no more."""
        return self.stream.read() == b""
