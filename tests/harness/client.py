"""HTTP as it goes over a socket: bytes out as they are written, responses back one by one."""

import contextlib
import socket
import ssl
from dataclasses import dataclass
from types import TracebackType

PATIENCE = 20.0  # seconds that a read may take on a busy machine


class Truncated(Exception):
    """The connection ended, or was reset, within a response."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response, whole, with names of fields in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    line: str


class Wire:
    """A client that sends what it is told to.

    ``small`` shrinks its receive buffer, so that the server soon notices that it does not read.
    With ``tls`` it speaks TLS, and expects the certificate of 127.0.0.1.
    """

    def __init__(
        self, port: int, *, small: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        self.socket = socket.socket()
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.stream = self.socket.makefile("rb")

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.stream.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_what_is_taken(self, data: bytes) -> None:
        """Send on, also when the server has had enough of it."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def get(self, target: str, *fields: str) -> Response:
        """GET, on this connection."""
        self.send(request("GET", target, *fields))
        return self.read()

    def read(self, method: str = "GET") -> Response:
        """The next response. Raises Truncated."""
        found = self.maybe_read(method)
        if found is None:
            raise Truncated("there is no response")
        return found

    def maybe_read(self, method: str = "GET") -> Response | None:
        """The next response, or None where the connection ends before it. Raises Truncated."""
        try:
            line = self.stream.readline().decode("latin-1")
            if not line:
                return None
            version, _, rest = line.partition(" ")
            assert version == "HTTP/1.1", line
            status = int(rest.split()[0])
            headers = self._fields()
            bodyless = method == "HEAD" or status in (204, 304) or status < 200
            body = b"" if bodyless else self._body(headers)
        except ConnectionError as error:
            raise Truncated(str(error)) from error
        return Response(status, headers, body, line.rstrip())

    def read_all(self) -> list[Response]:
        """Every response until the connection ends."""
        found = []
        while (one := self.maybe_read()) is not None:
            found.append(one)
        return found

    def _fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        while (line := self.stream.readline()) != b"\r\n":
            if not line.endswith(b"\r\n"):
                raise Truncated("in the head")
            name, _, value = line.decode("latin-1").partition(":")
            assert name.lower() not in fields, f"{name} came twice"
            fields[name.lower()] = value.strip()
        return fields

    def _body(self, headers: dict[str, str]) -> bytes:
        assert not {"content-length", "transfer-encoding"} <= headers.keys()
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        if "transfer-encoding" not in headers:
            return self.stream.read()
        assert headers["transfer-encoding"] == "chunked"
        pieces, size = [], -1
        while size:
            line = self.stream.readline()
            if not line.endswith(b"\r\n"):
                raise Truncated("between chunks")
            size = int(line, 16)
            piece = self._exactly(size + 2)
            assert piece[size:] == b"\r\n"
            pieces.append(piece[:size])
        return b"".join(pieces)

    def _exactly(self, size: int) -> bytes:
        data = self.stream.read(size)
        if len(data) < size:
            raise Truncated(f"{size - len(data)} bytes are missing")
        return data


def request(
    method: str, target: str, *fields: str, body: bytes = b"", version: str = "1.1"
) -> bytes:
    """A request with Host, the fields given, and Content-Length where there is a body."""
    lines = [f"{method} {target} HTTP/{version}", "Host: a", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*pieces: bytes) -> bytes:
    """Pieces as a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
