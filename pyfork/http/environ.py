"""The WSGI environ of a request (PEP 3333, and RFC 3875 for the CGI names).

`Template` is what all requests of a connection have in common; `fill` adds one request's own.
"""

import sys
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from pyfork.http.forwarded import from_forwarded, scheme
from pyfork.http.request import RequestHead
from pyfork.http.sendfile import FileWrapper

if TYPE_CHECKING:
    from pyfork.http.connection import Connection

Environ = dict[str, Any]

# Fields that have a CGI name of their own, or that describe the framing, which is ours.
_UNPREFIXED = {b"content-type": "CONTENT_TYPE", b"content-length": "", b"transfer-encoding": ""}

_JOINED_BY = {b"cookie": "; "}  # RFC 6265 5.4: a comma would be part of the value


class ErrorStream:
    """``wsgi.errors``: the process's stderr, whatever it is when it is written to."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def writelines(self, lines: "list[str]") -> None:
        sys.stderr.writelines(lines)

    def flush(self) -> None:
        sys.stderr.flush()


class FieldNames(dict[bytes, str]):
    """Header name to environ key; what is looked up often stays, the rest is made each time."""

    _MOST = 512  # names kept: clients choose them

    def __missing__(self, name: bytes) -> str:
        if name in _UNPREFIXED:
            key = _UNPREFIXED[name]
        elif b"_" in name:
            key = ""  # X_Forwarded_For would pass for X-Forwarded-For
        else:
            key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        if len(self) < self._MOST:
            self[name] = key
        return key


def template(connection: "Connection", *, multithread: bool, multiprocess: bool) -> Environ:
    """What every request on ``connection`` has in its environ."""
    host, port = _server(connection.sockname)
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": connection.scheme,
        "wsgi.errors": ErrorStream(),
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
        "SERVER_SOFTWARE": "pyfork",
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "REMOTE_ADDR": connection.peer_host,
        "REMOTE_PORT": str(connection.peer_port) if connection.peer_port else "",
        "SCRIPT_NAME": connection.engine.config.root_path.rstrip("/"),
    }


def fill(
    environ: Environ,
    head: RequestHead,
    body: IO[bytes],
    length: int,
    names: FieldNames,
) -> None:
    """Add one request to a copy of the template. ``length`` is the body's, in bytes."""
    environ["REQUEST_METHOD"] = head.method
    environ["RAW_URI"] = environ["REQUEST_URI"] = head.target.decode("latin-1")
    environ["PATH_INFO"] = _path(head.path, environ)
    environ["QUERY_STRING"] = head.query.decode("latin-1")
    environ["SERVER_PROTOCOL"] = "HTTP/" + head.version
    environ["wsgi.input"] = body
    if length or head.content_length is not None or head.chunked:
        environ["CONTENT_LENGTH"] = str(length)
    for name, value in head.headers:
        key = names[name]
        if not key:
            continue
        text = value.decode("latin-1")
        if key in environ:
            environ[key] += _JOINED_BY.get(name, ",") + text
        else:
            environ[key] = text


def apply_forwarded(environ: Environ, connection: "Connection") -> None:
    """Put the client in the place of a trusted proxy; the proxy's own word is kept as it came."""
    chain, proto = environ.get("HTTP_X_FORWARDED_FOR"), environ.get("HTTP_X_FORWARDED_PROTO")
    if chain is None and proto is None:
        field = environ.get("HTTP_FORWARDED")
        if field is None:
            return
        chain, proto = from_forwarded(field)
    client = connection.engine.proxies.client(chain) if chain else None
    if client:
        environ["REMOTE_ADDR"] = client
        environ["REMOTE_PORT"] = ""
    known = scheme(proto) if proto else None
    if known:
        environ["wsgi.url_scheme"] = known


def _path(path: bytes, environ: Environ) -> str:
    if b"%" in path:
        path = unquote_to_bytes(path)
    text = path.decode("latin-1")
    root: str = environ["SCRIPT_NAME"]
    if root and (text == root or text.startswith(root + "/")):
        return text[len(root) :]
    return text


def _server(sockname: object) -> tuple[str, str]:
    if isinstance(sockname, tuple):
        return str(sockname[0]), str(sockname[1])
    if isinstance(sockname, bytes):
        sockname = sockname.decode(errors="replace")
    return str(sockname or "unix"), ""
