"""The scope of a request (ASGI 3, HTTP spec version 2.3)."""

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pyfork.http.asgi.running import Scope
from pyfork.http.request.head import ONCE, FieldBlock, RequestHead, RequestLine

if TYPE_CHECKING:
    from pyfork.http.connection.transport import Peer

_VERSIONS = {"version": "3.0", "spec_version": "2.3"}


class ScopeBuilder:
    """Makes the scope of each request from cached parts.

    Request lines and field blocks often repeat. Their parts of the scope are cached on them.
    """

    def __init__(self, *, root_path: str, state: dict[str, Any]) -> None:
        self._root = root_path.rstrip("/")
        self._raw_root = self._root.encode()
        self._state = state

    def make(self, connection: "Peer", head: RequestHead) -> Scope:
        """Make the scope of one request. Mutable parts belong to that request alone."""
        made: dict[str, Any] | None = head.gateway_cache
        if made:
            scope = made.copy()
        else:
            scope = self._of_head(connection, head)
            head.gateway_cache = ONCE if made is None else scope.copy()
        scope["asgi"] = _VERSIONS.copy()
        scope["headers"] = head.block.entries.copy()
        scope["state"] = self._state.copy()
        scope["extensions"] = {}
        return scope

    def _of_head(self, connection: "Peer", head: RequestHead) -> dict[str, Any]:
        line, block = head.line, head.block
        if block.template is not None:
            block = block.template.block  # equal except for its headers
        made: dict[str, Any] | None = block.gateway_cache
        if made is None:
            made = block.gateway_cache = self._of_block(connection, block)
        paths = line.gateway_cache
        if paths is None:
            paths = line.gateway_cache = self._of_line(line)
        scope = made.copy()
        scope["http_version"], scope["method"] = line.version, line.method
        scope["path"], scope["raw_path"] = paths
        scope["query_string"] = line.query
        return scope

    def _of_line(self, line: RequestLine) -> tuple[str, bytes]:
        """Return path and raw path."""
        path = line.path.decode("latin-1")
        if line.path.find(b"%") >= 0:  # `in` of bytes raises an exception internally first
            path = unquote(path)
        if self._root:
            return self._root + path, self._raw_root + line.path
        return path, line.path

    def _of_block(self, connection: "Peer", block: FieldBlock) -> dict[str, Any]:
        """Return the parts that depend on the connection and the field block."""
        if connection.gateway_cache is None:
            connection.gateway_cache = self._of_connection(connection)
        made: dict[str, Any] = connection.gateway_cache
        if connection.trusted:
            client, scheme = connection.engine.proxies.origin(block.server_fields)
            if client:
                made = made | {"client": client}
            if scheme:
                made = made | {"scheme": scheme}
        return made

    def _of_connection(self, connection: "Peer") -> dict[str, Any]:
        host = connection.peer_host
        return {
            "type": "http",
            "http_version": "",
            "method": "",
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "root_path": self._root,
            "asgi": None,
            "extensions": None,
            "headers": None,
            "state": None,
            "scheme": connection.scheme,
            "client": (host, connection.peer_port) if host else None,
            "server": _server(connection.sockname),
        }


def _server(sockname: object) -> tuple[str, int | None] | None:
    if isinstance(sockname, tuple):
        return str(sockname[0]), int(sockname[1])
    return (str(sockname), None) if sockname else None
