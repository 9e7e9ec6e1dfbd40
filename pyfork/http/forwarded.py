"""Who the client is when a proxy stands between: X-Forwarded-For, -Proto and Forwarded.

Pure. The fields count only when the peer is a proxy that we trust (``--forwarded-allow-ips``);
anybody else could write them. X-Forwarded-* wins over Forwarded where both are present: proxies
that set the former pass the latter through unseen.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal

from pyfork.http.memory import Memory

Networks = Sequence[IPv4Network | IPv6Network] | Literal["*"]

_SCHEMES = frozenset(("http", "https", "ws", "wss"))


class Proxies:
    """The peers whose word about the client is taken."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._known: Memory[str, bool] = (
            Memory()
        )  # of peers: the nearest proxies come again and again

    def trust(self, host: str) -> bool:
        """Whether ``host`` is trusted; the empty one, a unix socket's peer, always is."""
        known = self._known.get(host)
        if known is None:
            known = self._trusts(host)
            self._known.keep(host, known)
        return known

    def _trusts(self, host: str) -> bool:
        if self._networks == "*" or not host:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)

    def origin(self, said: Mapping[bytes, bytes]) -> tuple[str | None, str | None]:
        """The client and the scheme that a trusted proxy names, if it does.

        ``said`` are fields by their names in lower case.
        """
        chain, proto = said.get(b"x-forwarded-for"), said.get(b"x-forwarded-proto")
        if chain is None and proto is None:
            field = said.get(b"forwarded")
            if field is None:
                return None, None
            hosts, nearest = from_forwarded(field.decode("latin-1"))
        else:
            hosts, nearest = (chain or b"").decode("latin-1"), (proto or b"").decode("latin-1")
        return self.client(hosts) if hosts else None, scheme(nearest)

    def client(self, forwarded_for: str) -> str | None:
        """The client in a chain of addresses: the last that is none of our proxies.

        The first one, if all of them are; None if the chain is empty or no chain.
        """
        chain = [_bare(part) for part in forwarded_for.split(",")]
        if not all(chain):
            return None
        for host in reversed(chain):
            if self._networks == "*" or not self.trust(host):
                break
        return chain[0] if self._networks == "*" else host


def scheme(forwarded_proto: str) -> str | None:
    """The scheme nearest to us in X-Forwarded-Proto, if it is one that we know."""
    nearest = forwarded_proto.rpartition(",")[2].strip().lower()
    return nearest if nearest in _SCHEMES else None


def from_forwarded(field: str) -> tuple[str, str]:
    """A Forwarded field (RFC 7239) as X-Forwarded-For and X-Forwarded-Proto would say it."""
    hosts: list[str] = []
    proto = ""
    for element in field.split(","):
        for pair in element.split(";"):
            name, _, value = pair.strip().partition("=")
            value = value.strip().strip('"')
            if name.strip().lower() == "for":
                hosts.append(value)
            elif name.strip().lower() == "proto":
                proto = value
    return ", ".join(hosts), proto


def _bare(node: str) -> str:
    """An address without brackets and port; empty if it is no address."""
    node = node.strip()
    if node.startswith("["):
        node = node[1:].partition("]")[0]
    elif node.count(":") == 1:
        node = node.partition(":")[0]
    try:
        return str(ip_address(node))
    except ValueError:
        return ""
