"""The client that proxies report: X-Forwarded-For, -Proto, Forwarded (RFC 7239) and SCRIPT_NAME.

Pure. The fields count only if the peer is a trusted proxy (``--forwarded-allow-ips``); any other
client could write them. Each proxy appends to the chain, so it is read from the right: the first
address that is not a trusted proxy's is the client's. A malformed member ends the search at the
address before it; members further left are ignored, since the same sender wrote them.
X-Forwarded-* wins over Forwarded: proxies that set the former pass on the latter unchecked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

from pyfork.http.cache import BoundedCache

Networks = Sequence[IPv4Network | IPv6Network] | Literal["*"]
Node = tuple[str, int]  # an address, and a port or 0
Origin = tuple[Node | None, str | None]  # the client and the scheme, where known

_MOST = 64  # members of a chain that are examined
_BLANKS = " \t"
_SCHEMES = frozenset(("http", "https", "ws", "wss"))

# RFC 7239 section 6: an IPv6 address with a port is in brackets; a port may be obfuscated.
_IN_BRACKETS = re.compile(r"\[([^\[\]]*)\](?::(\d{1,5}|_[\w.-]+))?", re.ASCII)
_WITH_PORT = re.compile(r"([^:]*):(\d{1,5}|_[\w.-]+)", re.ASCII)
_ZONE = re.compile(r"[\w.~-]+", re.ASCII)  # RFC 6874: ZoneID
# RFC 7239 section 4. Values are not always quoted where they should be: ``for=[::1]``.
_PAIR = re.compile(
    r"""[ \t]*+(?:([!#$%&'*+.^`|~\w-]+)=("(?:[^"\\]|\\.)*+"|[^",;\\ \t]++)[ \t]*+)?(?:;|\Z)""",
    re.ASCII,
)
# Decoded, as in CGI. No "//", which a link would take for a host; no list, part of which may be
# the client's; no delimiter of URLs.
_SCRIPT_NAME = re.compile(rb"(?:/[^/?#,\\\x00-\x20\x7f]+)*/?")
_ESCAPED = re.compile(r"\\(.?)")


class TrustedProxies:
    """The peers whose fields are trusted."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._known: BoundedCache[str, bool] = (
            BoundedCache()
        )  # of peers: the nearest proxies repeat

    def trust(self, host: str) -> bool:
        """Whether ``host`` is trusted. The empty host, a unix socket's peer, always is."""
        known = self._known.get(host)
        if known is None:
            known = self._trusts(host)
            self._known.put(host, known)
        return known

    def _trusts(self, host: str) -> bool:
        if self._networks == "*" or not host:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(_unmapped(address) in network for network in self._networks)

    def origin(self, fields: Mapping[bytes, bytes]) -> Origin:
        """Return the client and the scheme that trusted proxies report, or None for each.

        ``fields`` has fields by lower-case names; repeated fields are joined by commas.
        """
        chain, proto = fields.get(b"x-forwarded-for"), fields.get(b"x-forwarded-proto")
        if chain is None and proto is None:
            field = fields.get(b"forwarded")
            return (None, None) if field is None else self.forwarded(field.decode("latin-1"))
        client = None if chain is None else self.client(chain.decode("latin-1"))
        return client, None if proto is None else scheme(proto.decode("latin-1"))

    def client(self, forwarded_for: str) -> Node | None:
        """Return the client in an X-Forwarded-For field; None if its nearest member is no
        address."""
        found = None
        for member in reversed(forwarded_for.rsplit(",", _MOST)):
            hop = node(member.strip(_BLANKS))
            if hop is None:
                break
            found = hop
            if not self.trust(hop[0]):
                break
        return found

    def forwarded(self, field: str) -> Origin:
        """Return the client in a Forwarded field, and the nearest scheme that a trusted proxy
        reports."""
        client, nearest = None, None
        for element in _elements(field):
            pairs = _pairs(element)
            if pairs is None:
                break
            nearest = nearest or scheme(pairs.get("proto", ""))
            hop = node(pairs.get("for", ""))
            if hop is None:
                break
            client = hop
            if not self.trust(hop[0]):
                break
        return client, nearest


def scheme(forwarded_proto: str) -> str | None:
    """Return the nearest scheme in X-Forwarded-Proto, if it is a known one."""
    nearest = forwarded_proto.rpartition(",")[2].strip(_BLANKS).lower()
    return nearest if nearest in _SCHEMES else None


def script_name(field: bytes) -> str | None:
    """Return the path in a proxy's SCRIPT_NAME field, as WSGI defines it; None if it is none."""
    if not _SCRIPT_NAME.fullmatch(field):
        return None
    return field.decode("latin-1").rstrip("/")


def node(text: str) -> Node | None:
    """Return the address and the port (or 0) of a chain's node; None if it has no address.

    None stands for malformed nodes, ``unknown`` and obfuscated identifiers (RFC 7239 6.2, 6.3).
    The zone of an IPv6 address is dropped: it has a meaning on the proxy's host only. IPv4 in IPv6
    becomes IPv4.
    """
    host, port = text, None
    if match := _IN_BRACKETS.fullmatch(text):
        host, port = match.groups()
        if ":" not in host:
            return None
    elif match := _WITH_PORT.fullmatch(text):
        host, port = match.groups()
    host, percent, zone = host.partition("%")
    number = int(port) if port and port[0] != "_" else 0
    if number > 0xFFFF or (percent and (":" not in host or not _ZONE.fullmatch(zone))):
        return None
    try:
        return str(_unmapped(ip_address(host))), number
    except ValueError:
        return None


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address


def _elements(field: str) -> Iterator[str]:
    """Yield the elements of a Forwarded field, the last one first.

    A comma in a quoted string does not separate: a part with an odd number of quotes is joined
    with the parts before it, up to the one with the other quote. An element that a proxy appended
    has both quotes, so an open quote of the client before it does not reach into it.
    """
    element, open_quote = "", False
    for number, part in enumerate(reversed(field.rsplit(",", _MOST))):
        element = part if not (number and open_quote) else f"{part},{element}"
        open_quote ^= _ESCAPED.sub("", part).count('"') % 2 == 1
        if not open_quote:
            yield element.strip(_BLANKS)
    if open_quote:
        yield '"'  # not an element


def _pairs(element: str) -> dict[str, str] | None:
    """Return the parameters of an element by lower-case names; None if it is malformed or empty."""
    pairs: dict[str, str] = {}
    at = 0
    while at < len(element):
        match = _PAIR.match(element, at)
        if match is None:
            return None
        at = match.end()
        name, value = match.groups()
        if name is None:
            continue
        if name.lower() in pairs:  # 4: not more than once
            return None
        quoted = value[0] == '"'
        pairs[name.lower()] = _ESCAPED.sub(r"\1", value[1:-1]) if quoted else value
    return pairs or None
