"""The scope of a request (ASGI 3, HTTP spec version 2.4)."""

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pyfork.http.forwarded import Proxies, from_forwarded, scheme
from pyfork.http.request import FieldBlock, RequestHead, RequestLine

if TYPE_CHECKING:
    from pyfork.http.link import Link

Scope = MutableMapping[str, Any]


class Scopes:
    """Makes the scope of each request, out of what requests have in common.

    Request lines and field blocks are often those of an earlier request; what is made of them
    here is kept with them.
    """

    def __init__(self, *, root_path: str, state: dict[str, Any]) -> None:
        self._root = root_path.rstrip("/")
        self._state = state

    def make(self, connection: "Link", head: RequestHead) -> Scope:
        """The scope of one request: what an application may change in it is the request's own."""
        if head.made is None:
            line, block = head.line, head.block
            if line.made is None:
                line.made = self._of_line(line)
            if block.made is None:
                block.made = self._of_block(connection, block)
            head.made = block.made | line.made
        scope: dict[str, Any] = head.made.copy()
        scope["headers"] = head.block.fields.copy()
        scope["state"] = self._state.copy()
        scope["extensions"] = {}
        return scope

    def _of_line(self, line: RequestLine) -> dict[str, Any]:
        path = line.path.decode("latin-1")
        return {
            "type": "http",
            "http_version": line.version,
            "method": line.method,
            "path": self._root + (unquote(path) if "%" in path else path),
            "raw_path": self._root.encode() + line.path,
            "query_string": line.query,
            "root_path": self._root,
        }

    def _of_block(self, connection: "Link", block: FieldBlock) -> dict[str, Any]:
        """What a connection and the fields of a head on it say."""
        host = connection.peer_host
        scope: dict[str, Any] = {
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "extensions": {},
            "headers": block.fields,
            "state": self._state,
            "scheme": connection.scheme,
            "client": (host, connection.peer_port) if host else None,
            "server": _server(connection.sockname),
        }
        if connection.trusted:
            _apply_forwarded(scope, block, connection.engine.proxies)
        return scope


def _apply_forwarded(scope: dict[str, Any], block: FieldBlock, proxies: Proxies) -> None:
    """Put the client in the place of a trusted proxy."""
    fields: dict[bytes, str] = {}
    for name, value in block.fields:
        if name in _FORWARDED:
            text = value.decode("latin-1")
            fields[name] = f"{fields[name]},{text}" if name in fields else text
    if not fields:
        return
    chain, proto = fields.get(b"x-forwarded-for"), fields.get(b"x-forwarded-proto")
    if chain is None and proto is None:
        chain, proto = from_forwarded(fields[b"forwarded"])
    client = proxies.client(chain) if chain else None
    if client:
        scope["client"] = (client, 0)
    known = scheme(proto) if proto else None
    if known:
        scope["scheme"] = known


def _server(sockname: object) -> tuple[str, int | None] | None:
    if isinstance(sockname, tuple):
        return str(sockname[0]), int(sockname[1])
    return (str(sockname), None) if sockname else None


_FORWARDED = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"))
