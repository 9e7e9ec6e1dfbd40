"""Reads the fields of a ClientHello that Python's ssl does not expose (RFC 8446 4.1.2).

OpenSSL has accepted the message before. A malformed one is read as an empty one.
"""

from collections.abc import Iterator

from pyfork.record import record

MAX_BYTES = 1 << 15  # of a handshake: many times more than clients send

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ALPN = 0, 16


@record
class ClientHello:
    """``name`` is that of SNI, or empty; ``protocols`` are those of ALPN."""

    name: str = ""
    protocols: tuple[bytes, ...] = ()


def read(data: bytes) -> ClientHello:
    """Read the ClientHello from ``data``, the first records of a connection."""
    try:
        found = dict(_extensions(_message(data)))
        names = dict(_names(found.get(_SERVER_NAME, b"\0\0")))
        protocols = tuple(_vectors(_vector(found.get(_ALPN, b"\0\0"), 0, 2), 1))
    except (IndexError, ValueError):
        return ClientHello()
    return ClientHello(names.get(0, b"").decode("latin-1").lower(), protocols)


def _message(records: bytes) -> bytes:
    """The body of the first handshake message, which may be split into several records."""
    message, at = b"", 0
    while at < len(records) and records[at] == _HANDSHAKE:
        part = _vector(records, at + 3, 2)
        message += part
        at += 5 + len(part)
    if message[0] != _CLIENT_HELLO:
        raise ValueError
    return _vector(message, 1, 3)


def _extensions(hello: bytes) -> Iterator[tuple[int, bytes]]:
    at = 34  # behind version and random
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        at += size + len(_vector(hello, at, size))
    block, at = _vector(hello, at, 2), 0
    while at < len(block):
        kind = int.from_bytes(block[at : at + 2], "big")
        content = _vector(block, at + 2, 2)
        yield kind, content
        at += 4 + len(content)


def _names(extension: bytes) -> Iterator[tuple[int, bytes]]:
    """RFC 6066 3: names with their types."""
    block, at = _vector(extension, 0, 2), 0
    while at < len(block):
        name = _vector(block, at + 1, 2)
        yield block[at], name
        at += 3 + len(name)


def _vectors(block: bytes, size: int) -> Iterator[bytes]:
    at = 0
    while at < len(block):
        found = _vector(block, at, size)
        yield found
        at += size + len(found)


def _vector(data: bytes, at: int, size: int) -> bytes:
    """The bytes after a length field of ``size`` bytes. Raises ValueError if some are missing."""
    begin = at + size
    end = begin + int.from_bytes(data[at:begin], "big")
    if begin > len(data) or end > len(data):
        raise ValueError
    return data[begin:end]
