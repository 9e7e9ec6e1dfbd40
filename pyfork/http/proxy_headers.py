"""What proxies say of a request: X-Forwarded-For, -Proto, Forwarded (RFC 7239) and SCRIPT_NAME.

Pure. The fields count only where the peer is a proxy that is trusted (``--forwarded-allow-ips``):
anybody else could write them. Each proxy appends to what it received, so a chain is read from the
right: the first address that is not a trusted proxy's is the client's. What cannot be read ends
the walk at the last address before it, and nothing left of it is looked at: whoever sent it wrote
the rest as well. X-Forwarded-* wins over Forwarded where both are present: proxies that set the
former pass the latter through unseen.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

from pyfork.http.cache import BoundedCache

Networks = Sequence[IPv4Network | IPv6Network] | Literal["*"]
Node = tuple[str, int]  # an address, and a port or 0
Origin = tuple[Node | None, str | None]  # the client and the scheme, each where it is told

_MOST = 64  # members of a chain that are looked at
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
# As in CGI, decoded. No "//", which a link would take for a host; no list, of which a part may be
# the client's; no delimiter of URLs.
_SCRIPT_NAME = re.compile(rb"(?:/[^/?#,\\\x00-\x20\x7f]+)*/?")
_ESCAPED = re.compile(r"\\(.?)")


class TrustedProxies:
    """The peers whose word about the client is taken."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._known: BoundedCache[str, bool] = (
            BoundedCache()
        )  # of peers: the nearest proxies come again and again

    def trust(self, host: str) -> bool:
        """Whether ``host`` is trusted; the empty one, a unix socket's peer, always is."""
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

    def origin(self, said: Mapping[bytes, bytes]) -> Origin:
        """The client and the scheme that trusted proxies name, if they do.

        ``said`` are fields by their names in lower case; those that came more than once are joined
        by commas.
        """
        chain, proto = said.get(b"x-forwarded-for"), said.get(b"x-forwarded-proto")
        if chain is None and proto is None:
            field = said.get(b"forwarded")
            return (None, None) if field is None else self.forwarded(field.decode("latin-1"))
        client = None if chain is None else self.client(chain.decode("latin-1"))
        return client, None if proto is None else scheme(proto.decode("latin-1"))

    def client(self, forwarded_for: str) -> Node | None:
        """The client in an X-Forwarded-For field; None if its nearest member is no address."""
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
        """The client in a Forwarded field, and the nearest scheme that a trusted proxy tells."""
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
    """The scheme nearest to us in X-Forwarded-Proto, if it is one that we know."""
    nearest = forwarded_proto.rpartition(",")[2].strip(_BLANKS).lower()
    return nearest if nearest in _SCHEMES else None


def script_name(field: bytes) -> str | None:
    """The path that a proxy's SCRIPT_NAME field gives, as WSGI has it; None if it is none."""
    if not _SCRIPT_NAME.fullmatch(field):
        return None
    return field.decode("latin-1").rstrip("/")


def node(text: str) -> Node | None:
    """A node of a chain: its address, and its port or 0; None for what has no address.

    That is what is malformed, and ``unknown`` and obfuscated identifiers (RFC 7239 6.2, 6.3). The
    zone of an IPv6 address means something on the proxy's host alone, and is left out; IPv4 in
    IPv6 is IPv4.
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
    """The elements of a Forwarded field, the last one first.

    A comma in a quoted string divides nothing: a part with an odd number of quotes is joined with
    the parts before it, up to the one that has the other quote. An element that a proxy appended
    has both, so a quote that a client left open before it does not reach into it.
    """
    element, open_quote = "", False
    for number, part in enumerate(reversed(field.rsplit(",", _MOST))):
        element = part if not (number and open_quote) else f"{part},{element}"
        open_quote ^= _ESCAPED.sub("", part).count('"') % 2 == 1
        if not open_quote:
            yield element.strip(_BLANKS)
    if open_quote:
        yield '"'  # what is no element


def _pairs(element: str) -> dict[str, str] | None:
    """The parameters of an element, by names in lower case; None if it is malformed or empty."""
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
