"""``host[:port]`` in the Host field and in an absolute target (RFC 3986 3.2.2, 3.2.3)."""

import re
import socket

_USUAL = re.compile(rb"[A-Za-z0-9\-.]*+(?::[0-9]{0,4})?")
_NAME = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*(?::([0-9]{0,5}))?")
_LITERAL = re.compile(rb"\[([0-9A-Fa-f:.]{2,45})\](?::([0-9]{0,5}))?")


def is_authority(text: bytes) -> bool:
    """Whether ``text`` is a host with an optional port. An empty one is valid (RFC 9110 7.2).

    User information and IPvFuture are rejected: no address uses them.
    """
    if _USUAL.fullmatch(text):
        return True
    match = _NAME.fullmatch(text)
    if match is not None:
        port = match[1]
    else:
        match = _LITERAL.fullmatch(text)
        if match is None or not _is_ipv6(match[1]):
            return False
        port = match[2]
    return not port or int(port) < 65536


def _is_ipv6(text: bytes) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text.decode("ascii"))
    except OSError:
        return False
    return True
