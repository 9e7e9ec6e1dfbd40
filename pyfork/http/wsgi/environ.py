"""The WSGI environ of a request (PEP 3333, and RFC 3875 for CGI names).

Request lines and field blocks often repeat. Their parts of the environ are cached on them from the
second use on.
"""

import sys
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from pyfork.http.proxy_headers import script_name
from pyfork.http.request.head import ONCE, Field, FieldBlock, RequestHead, RequestLine
from pyfork.http.wsgi.sendfile import FileWrapper

if TYPE_CHECKING:
    from pyfork.http.connection.transport import Peer

Environ = dict[str, Any]

# Fields with a CGI name of their own, and framing fields, which belong to the server.
_UNPREFIXED = {b"content-type": "CONTENT_TYPE", b"content-length": "", b"transfer-encoding": ""}

_JOINED_BY = {"HTTP_COOKIE": "; "}  # RFC 6265 5.4: a comma could be part of the value


class ErrorStream:
    """``wsgi.errors``: the current sys.stderr at each write."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def writelines(self, lines: "list[str]") -> None:
        sys.stderr.writelines(lines)

    def flush(self) -> None:
        sys.stderr.flush()


Variable = tuple[str, str]


def variable(field: Field) -> Variable:
    """Return a field's name and value in an environ; the name is empty if the field is hidden."""
    name, value = field
    if name in _UNPREFIXED:
        key = _UNPREFIXED[name]
    elif name.find(b"_") >= 0:  # `in` of bytes raises an exception internally first
        key = ""  # X_Forwarded_For could be mistaken for X-Forwarded-For
    else:
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    return key, value.decode("latin-1")


class EnvironBuilder:
    """Makes the environ of each request from cached parts."""

    def __init__(self, *, multithread: bool, multiprocess: bool, root_path: str) -> None:
        self._root = root_path.rstrip("/")
        self._base: Environ = {
            "wsgi.version": (1, 0),
            "wsgi.errors": ErrorStream(),
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input": None,
            "wsgi.input_terminated": True,
            "SERVER_SOFTWARE": "pyfork",
            "SCRIPT_NAME": self._root,
        }

    def add(self, name: str, value: object) -> None:
        """Have it in each environ that is made from now on."""
        self._base[name] = value

    def make(
        self, connection: "Peer", head: RequestHead, body: IO[bytes], length: int = 0
    ) -> Environ:
        """Make the environ of one request. ``length`` is the body's, in bytes."""
        made: Environ | None = head.gateway_cache
        if made:
            environ = made.copy()
        else:
            environ = self._of_head(connection, head)
            head.gateway_cache = ONCE if made is None else environ.copy()
        environ["wsgi.input"] = body
        if length or "CONTENT_LENGTH" in environ:
            environ["CONTENT_LENGTH"] = str(length)
        return environ

    def _of_head(self, connection: "Peer", head: RequestHead) -> Environ:
        line, block = head.line, head.block
        made: Environ | None = block.gateway_cache
        if made:
            environ = made.copy()
        elif (template := block.template) is not None:
            if template.gateway_cache is None:
                template.gateway_cache = self._of_block(connection, template.block)
            environ = template.gateway_cache.copy()
            for key, value in block.changes:
                environ[key] = value
            block.gateway_cache = ONCE if made is None else environ.copy()
        else:
            environ = self._of_block(connection, block)
            block.gateway_cache = ONCE if made is None else environ.copy()
        values = line.gateway_cache
        if values is None:
            values = line.gateway_cache = self._of_line(line)
        environ["REQUEST_METHOD"] = line.method
        target, environ["PATH_INFO"], environ["QUERY_STRING"], environ["SERVER_PROTOCOL"] = values
        environ["REQUEST_URI"] = environ["RAW_URI"] = target
        if environ["SCRIPT_NAME"] is not self._root:  # from a proxy's field
            environ["PATH_INFO"] = _below(environ["SCRIPT_NAME"], line.path)
        if block.content_length is not None or block.chunked:
            environ["CONTENT_LENGTH"] = ""
        return environ

    def _of_line(self, line: RequestLine) -> tuple[str, str, str, str]:
        """Return the variables of the target that `_of_head` sets."""
        target = line.target.decode("latin-1")
        if not line.is_usual:
            path, query = _below(self._root, line.path), line.query.decode("latin-1")
            return target, path, query, "HTTP/" + line.version
        path, _, query = target.partition("?")
        if self._root or line.path.find(b"%") >= 0:
            path = _below(self._root, line.path)
        return target, path, query, "HTTP/1.1"

    def _of_block(self, connection: "Peer", block: FieldBlock) -> Environ:
        """Return the variables that depend on the connection and the field block."""
        if connection.gateway_cache is None:
            connection.gateway_cache = self._of_connection(connection)
        environ: Environ = connection.gateway_cache.copy()
        expected = len(environ) + len(block.entries)
        environ.update(block.entries)
        if len(environ) != expected or "" in environ:  # some fields are joined or hidden
            _join(environ, block.entries)
        if connection.trusted:  # its fields are passed on unchanged
            client, scheme = connection.engine.proxies.origin(block.server_fields)
            if client:
                host, port = client
                environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = host, str(port or "")
            if scheme:
                environ["wsgi.url_scheme"] = scheme
            if field := block.server_fields.get(b"script_name"):
                name = script_name(field)
                if name is not None:
                    environ["SCRIPT_NAME"] = name
        return environ

    def _of_connection(self, connection: "Peer") -> Environ:
        name, port = _server(connection.sockname)
        return self._base | {
            "wsgi.url_scheme": connection.scheme,
            "SERVER_NAME": name,
            "SERVER_PORT": port,
            "REMOTE_ADDR": connection.peer_host,
            "REMOTE_PORT": str(connection.peer_port) if connection.peer_port else "",
        }


def _below(root: str, path: bytes) -> str:
    """Return ``path`` below ``root``, percent-decoded; all of it if a proxy has removed the
    root."""
    text = path.decode("latin-1")
    if "%" in text:
        text = unquote_to_bytes(path).decode("latin-1")
    if root and (text == root or text.startswith(root + "/")):
        return text[len(root) :]
    return text


def _join(environ: Environ, variables: list[Variable]) -> None:
    """Join repeated fields (RFC 9110 5.3)."""
    seen: set[str] = set()
    for key, text in variables:
        environ[key] = f"{environ[key]}{_JOINED_BY.get(key, ',')}{text}" if key in seen else text
        seen.add(key)
    environ.pop("", None)


def _server(sockname: object) -> tuple[str, str]:
    if isinstance(sockname, tuple):
        return str(sockname[0]), str(sockname[1])
    if isinstance(sockname, bytes):
        sockname = sockname.decode(errors="replace")
    return str(sockname or "unix"), ""
