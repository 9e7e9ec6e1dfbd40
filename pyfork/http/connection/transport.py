"""The socket side of a connection: peer address, reading, writing, and ways to close.

It knows no requests and keeps no timer; `wait` belongs to the sweep. After any end nothing is
written: `write` drops data then, as for a disconnected client.
"""

import asyncio
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

from pyfork.net.accepted import Client

if TYPE_CHECKING:
    from pyfork.http.connection.engine import Engine
    from pyfork.http.connection.timeouts.deadlines import Wait

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds


class Peer(Protocol):
    """What a gateway tells an application of a connection."""

    scheme: str
    peer_host: str
    peer_port: int
    sockname: object
    trusted: bool
    gateway_cache: Any

    @property
    def engine(self) -> Any:
        """It has the trusted proxies."""


class ClientTransport(asyncio.Protocol):
    """One client's socket."""

    __slots__ = (
        "_fd",
        "engine",
        "gateway_cache",
        "handing_off",
        "lingering",
        "lost",
        "peer_host",
        "peer_port",
        "read_paused",
        "scheme",
        "sockname",
        "transport",
        "trusted",
        "wait",
        "write_paused",
    )

    def __init__(self, engine: "Engine[Any]", client: Client | None = None) -> None:
        """``client``: its socket, if this process accepted it."""
        # For the life of the connection.
        self.engine = engine
        self.transport = cast(asyncio.Transport, None)
        self.scheme = "http"
        self.peer_host = ""
        self.peer_port = 0
        self.sockname: object = None
        self.gateway_cache: Any = None  # for a gateway: parts that all requests share
        self._fd = -1
        if client is not None:
            self._fd = client.fileno()
            self.sockname = client.name
            self._set_peer(client.peer)
        self.trusted = False  # the peer is a proxy whose X-Forwarded-* fields count
        # Changing.
        self.lost = False  # ended: nothing is read or written any more
        self.lingering = False  # everything is sent; input is dropped
        self.handing_off = False  # offered to another worker: nothing is read meanwhile
        self.read_paused = False
        self.write_paused = False
        # For the sweep.
        self.wait: Wait | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if not self.peer_host:
            self._set_peer(transport.get_extra_info("peername"))
        if self.sockname is None:
            self.sockname = transport.get_extra_info("sockname")
        self.trusted = self.engine.proxies.trust(self.peer_host)

    def _set_peer(self, peer: object) -> None:
        """Set the peer's address; a unix socket has none."""
        if isinstance(peer, tuple):
            self.peer_host, self.peer_port = peer[0], peer[1]

    def fileno(self) -> int:
        """Return the socket's descriptor, which stays this connection's."""
        if self._fd < 0 and not self.lost:
            self._fd = self.transport.get_extra_info("socket").fileno()
        return self._fd

    def readable(self) -> bool:
        """Whether bytes have arrived that the loop has not delivered yet."""
        return readable(self.fileno())

    @property
    def unsent(self) -> int:
        """Bytes of output that the kernel has not taken yet."""
        return self.transport.get_write_buffer_size()

    def unacknowledged(self) -> int:
        """Bytes of output that the kernel has and the client has not; 0 if unknown."""
        count = bytearray(4)
        with suppress(OSError):
            fcntl.ioctl(self.fileno(), termios.TIOCOUTQ, count)
        return int.from_bytes(count, sys.byteorder)

    def write(self, data: bytes) -> None:
        """Write, unless the client is gone or the end was announced."""
        if not (self.lost or self.lingering):
            self.transport.write(data)

    def send(self, data: bytes) -> None:
        """Write directly to the socket; the empty transport buffer gets the rest."""
        try:
            sent = os.write(self.fileno() if self._fd < 0 else self._fd, data)
        except BlockingIOError:
            sent = 0
        except OSError:  # the client is gone; the transport will report it
            return
        if sent < len(data):
            self.transport.write(data[sent:])

    def write_now(self, data: bytes | memoryview) -> int:
        """Write what the socket takes at once. Returns the number of bytes. The transport's buffer
        is empty.

        Raises OSError if the client is gone.
        """
        try:
            return os.write(self._fd if self._fd >= 0 else self.fileno(), data)
        except BlockingIOError:
            return 0

    def pause_reading(self) -> None:
        """Stop delivering data."""
        if not self.read_paused and not self.lost:
            self.read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver data again."""
        if self.read_paused:
            self.read_paused = False
            if not self.lost and not self.transport.is_closing():
                self.transport.resume_reading()

    # Ways to close.

    def abort(self) -> None:
        """Close at once, with any exchange."""
        self.lost = True
        self.shut_down()
        self.transport.abort()

    def shut_down(self) -> None:
        """Shut the connection down, not just this copy of the socket.

        A process that was forked without Python's knowledge may hold another copy.
        """
        if self._fd >= 0:
            mine = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=self._fd)
            with suppress(OSError):  # the client has closed it
                mine.shutdown(socket.SHUT_RDWR)
            mine.detach()

    def forget_socket(self) -> None:
        """The transport is about to close it: its number is soon another connection's."""
        self.lost = True
        self._fd = -1

    def reset(self) -> None:
        """Send a reset: a plain FIN would look like the end of a response without framing."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.lost = True
        self.transport.abort()

    def finish(self) -> None:
        """Close after all output has been sent."""
        self.lingering = True
        self.transport.close()

    def linger(self) -> None:
        """Close our half and drop input, so that no reset overtakes the response.

        RFC 9112 9.6. The sweep ends it.
        """
        self.lingering = True
        if self.lost or self.transport.is_closing():
            return
        try:
            if self.transport.can_write_eof():
                self.transport.write_eof()
        except OSError as error:  # asyncio's: the last write was answered by a reset
            if error.errno != errno.ENOTCONN:
                raise
            self.abort()
            return
        self.resume_reading()

    # Handoff.

    def start_handoff(self) -> None:
        """Stop reading: a handoff begins."""
        self.handing_off = True
        self.transport.pause_reading()

    def finish_handoff(self) -> None:
        """Close this copy of the socket; another worker has the connection."""
        self.handing_off = True
        if self.transport is not None:  # else when it is made
            self.transport.abort()

    def cancel_handoff(self) -> None:
        """Read on: no worker took the connection."""
        self.handing_off = False
        if not self.lost and not self.transport.is_closing():
            self.transport.resume_reading()


def readable(fd: int) -> bool:
    """Whether ``fd`` has data or an end to read."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
