"""The WSGI environ of a request (PEP 3333, and RFC 3875 for the CGI names).

Request lines and field blocks are often those of an earlier request; what is made of them here is
kept with them.
"""

import sys
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from pyfork.http.forwarded import Proxies, from_forwarded, scheme
from pyfork.http.request import SECRETS, FieldBlock, RequestHead, RequestLine
from pyfork.http.sendfile import FileWrapper

if TYPE_CHECKING:
    from pyfork.http.link import Link

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


class _Variables:
    """Fields to variables, name and value; an empty name for what the application does not see.

    Those of earlier requests are remembered, as many as the bounds allow.
    """

    _MOST = 512
    _LONGEST = 256  # bytes of a value

    def __init__(self) -> None:
        self.known: dict[tuple[bytes, bytes], tuple[str, str]] = {}

    def learn(self, field: tuple[bytes, bytes]) -> tuple[str, str]:
        """A field that is not known."""
        name, value = field
        if name in _UNPREFIXED:
            key = _UNPREFIXED[name]
        elif b"_" in name:
            key = ""  # X_Forwarded_For would pass for X-Forwarded-For
        else:
            key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        variable = key, value.decode("latin-1")
        if len(value) <= self._LONGEST and name not in SECRETS:
            if len(self.known) >= self._MOST:
                self.known.clear()
            self.known[field] = variable
        return variable


class Environs:
    """Makes the environ of each request, out of what requests have in common."""

    def __init__(self, *, multithread: bool, multiprocess: bool, root_path: str) -> None:
        self._variables = _Variables()
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

    def make(
        self, connection: "Link", head: RequestHead, body: IO[bytes], length: int = 0
    ) -> Environ:
        """The environ of one request. ``length`` is the body's, in bytes."""
        if head.made is None:
            head.made = self._of_head(connection, head)
        environ: Environ = head.made.copy()
        environ["wsgi.input"] = body
        if length or "CONTENT_LENGTH" in environ:
            environ["CONTENT_LENGTH"] = str(length)
        return environ

    def _of_head(self, connection: "Link", head: RequestHead) -> Environ:
        line, block = head.line, head.block
        if line.made is None:
            line.made = self._of_line(line)
        if block.made is None:
            block.made = self._of_block(connection, block)
        environ: Environ = block.made | line.made
        if block.content_length is not None or block.chunked:
            environ["CONTENT_LENGTH"] = ""
        return environ

    def _of_line(self, line: RequestLine) -> Environ:
        target = line.target.decode("latin-1")
        return {
            "REQUEST_METHOD": line.method,
            "REQUEST_URI": target,
            "RAW_URI": target,
            "PATH_INFO": self._path(line.path),
            "QUERY_STRING": line.query.decode("latin-1"),
            "SERVER_PROTOCOL": "HTTP/" + line.version,
        }

    def _of_block(self, connection: "Link", block: FieldBlock) -> Environ:
        """What a connection and the fields of a head on it say."""
        environ = self._base.copy()
        environ["wsgi.url_scheme"] = connection.scheme
        environ["SERVER_NAME"], environ["SERVER_PORT"] = _server(connection.sockname)
        environ["REMOTE_ADDR"] = connection.peer_host
        environ["REMOTE_PORT"] = str(connection.peer_port) if connection.peer_port else ""
        expected = len(environ) + len(block.fields)
        known, learn = self._variables.known.get, self._variables.learn
        variables = [known(field) or learn(field) for field in block.fields]
        environ.update(variables)
        if len(environ) != expected or "" in environ:  # some are joined, or not passed on
            _join(environ, block, variables)
        if connection.trusted:
            _apply_forwarded(environ, connection.engine.proxies)
        return environ

    def _path(self, path: bytes) -> str:
        """What is below the root path, percent-decoded."""
        if b"%" in path:
            path = unquote_to_bytes(path)
        text = path.decode("latin-1")
        root = self._root
        if root and (text == root or text.startswith(root + "/")):
            return text[len(root) :]
        return text


def _join(environ: Environ, block: FieldBlock, variables: list[tuple[str, str]]) -> None:
    """Fields that came more than once, as one each (RFC 9110 5.3)."""
    seen: set[str] = set()
    for (name, _), (key, text) in zip(block.fields, variables, strict=True):
        environ[key] = f"{environ[key]}{_JOINED_BY.get(name, ',')}{text}" if key in seen else text
        seen.add(key)
    environ.pop("", None)


def _apply_forwarded(environ: Environ, proxies: Proxies) -> None:
    """Put the client in the place of a trusted proxy; the proxy's own word is kept as it came."""
    chain, proto = environ.get("HTTP_X_FORWARDED_FOR"), environ.get("HTTP_X_FORWARDED_PROTO")
    if chain is None and proto is None:
        field = environ.get("HTTP_FORWARDED")
        if field is None:
            return
        chain, proto = from_forwarded(field)
    client = proxies.client(chain) if chain else None
    if client:
        environ["REMOTE_ADDR"] = client
        environ["REMOTE_PORT"] = ""
    known = scheme(proto) if proto else None
    if known:
        environ["wsgi.url_scheme"] = known


def _server(sockname: object) -> tuple[str, str]:
    if isinstance(sockname, tuple):
        return str(sockname[0]), str(sockname[1])
    if isinstance(sockname, bytes):
        sockname = sockname.decode(errors="replace")
    return str(sockname or "unix"), ""
