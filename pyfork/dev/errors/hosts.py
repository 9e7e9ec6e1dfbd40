"""The host names under which the error page shows source code.

A page from elsewhere in the developer's browser can have a name of its own resolve to this machine,
and then read what the server answers (DNS rebinding). The browser sends that name in Host. It
cannot be a literal address, nor ``localhost``, which browsers resolve themselves.
"""

import ipaddress
import re
from collections.abc import Collection

_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::[0-9]*)?")


def host_of(field: str) -> str:
    """The host in a Host field value: lower case, no port, brackets or final dot. Empty: none."""
    match = _AUTHORITY.fullmatch(field.strip())
    if match is None:
        return ""
    return (match["ipv6"] or match["name"] or "").lower().removesuffix(".")


def is_developers(host: str, names: Collection[str]) -> bool:
    """Whether ``host``, as `host_of` gives it, is the developer's own.

    Args:
        names: those of ``--reload-host``.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) or host in map(host_of, names)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
