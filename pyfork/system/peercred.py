"""The process at the other end of a unix socket: SO_PEERCRED, unix(7)."""

import socket
import struct
from typing import NamedTuple

_UCRED = struct.Struct("iII")


class PeerCredentials(NamedTuple):
    """The process that connected, at the time of its connect()."""

    pid: int
    uid: int
    gid: int


def peer_credentials(connected: socket.socket) -> PeerCredentials | None:
    """The other end's credentials; None where the kernel does not tell (not Linux)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    ucred = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return PeerCredentials(*_UCRED.unpack(ucred))
