"""The address that a script binds, resolved, and the key that processes share for it."""

import os
import socket
from typing import Any

from pyfork.address import Inet, Unix
from pyfork.dispatch.handles import PREFIX
from pyfork.record import record

_KINDS: dict[int, str] = {socket.SOCK_STREAM: "stream", socket.SOCK_DGRAM: "datagram"}


@record
class BindTarget:
    """The address of a bind() call."""

    key: str
    address: list[str | int]  # resolved; one string for a unix socket
    text: str  # as pyfork writes it
    path: str = ""  # absolute; empty if bind() makes no file
    port: int | None = None


def bind_target(family: int, kind: int, address: Any) -> BindTarget | None:
    """Resolve ``address``. Returns None for a socket that cannot be shared, or for no address.

    Raises:
        OSError: socket.gaierror for an unknown host, as bind() does.
    """
    if kind not in _KINDS:
        return None
    if family == socket.AF_UNIX:
        return _unix(_KINDS[kind], address)
    if family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
        return _inet(family, kind, address)
    return None


def is_internal(family: int, address: Any) -> bool:
    """Whether ``address`` is a socket file that multiprocessing uses for its own children."""
    if family != socket.AF_UNIX or not isinstance(address, str | bytes | os.PathLike):
        return False
    return os.path.basename(os.path.dirname(os.fsdecode(address))).startswith("pymp-")


def _unix(kind: str, address: Any) -> BindTarget | None:
    path = os.fsdecode(address) if isinstance(address, str | bytes | os.PathLike) else ""
    if not path:
        return None
    abstract = path.startswith("\0")
    whole = path if abstract else os.path.abspath(path)
    text = str(Unix(whole))
    return BindTarget(f"{PREFIX}{kind}:{text}", [whole], text, "" if abstract else whole)


def _inet(family: int, kind: int, address: tuple[Any, ...]) -> BindTarget | None:
    match address:
        case (str() | bytes() as host, int(port), *rest) if 0 <= port <= 65535:
            name = host.decode() if isinstance(host, bytes) else host
        case _:
            return None
    resolved = [_resolve(family, kind, name), port, *rest]
    text = str(Inet(str(resolved[0]), port))
    scope = f"%{rest[1]}" if len(rest) > 1 and rest[1] else ""
    return BindTarget(f"{PREFIX}{_KINDS[kind]}:{text}{scope}", resolved, text, port=port)


def _resolve(family: int, kind: int, host: str) -> str:
    if not host:
        return "0.0.0.0" if family == socket.AF_INET else "::"
    if host == "<broadcast>":
        return "255.255.255.255"
    found = socket.getaddrinfo(host, 0, family, kind)
    return str(found[0][4][0])
