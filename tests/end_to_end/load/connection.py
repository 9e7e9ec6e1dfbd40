"""One client connection that knows what happened to it: raw sockets, no library's retries.

Every way to fail is raised as a `Loss` that says which.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote

from tests.end_to_end.load.outcomes import Loss, Outcome

READ = 256 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server is: ``http://host:port``, ``https://host:port`` or ``unix:/path``."""

    family: socket.AddressFamily
    address: tuple[str, int] | str
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str, ca: str = "") -> "Target":
        """``ca`` is the file of the authority for an https one, whose name is its address."""
        if url.startswith("https://"):
            plain = cls.parse(url.replace("https:", "http:", 1))
            return cls(plain.family, plain.address, ssl.create_default_context(cafile=ca))
        if url.startswith("unix:"):
            return cls(socket.AF_UNIX, unquote(url.removeprefix("unix:")))
        host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return cls(family, (host, int(port)))


@dataclass(frozen=True, slots=True)
class Response:
    """A response, whole; names of fields in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closing(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class PlainSocket:
    """A bare socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._socket, READ)

    def close(self) -> None:
        self._socket.close()


class TlsSocket:
    """The same, with TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket, context: ssl.SSLContext, name: str) -> "TlsSocket":
        return cls(*await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name))

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        return await self._reader.read(READ)

    def close(self) -> None:
        self._writer.transport.abort()


class Connection:
    """An open connection. ``answers`` is how many whole responses came on it."""

    def __init__(self, wire: "PlainSocket | TlsSocket") -> None:
        self._wire = wire
        self._buffer = bytearray()  # received, and not part of a response yet
        self._begun = False  # the head of a response is read, its body is not
        self.answers = 0

    @classmethod
    async def open(cls, target: Target) -> "Connection":
        sock = socket.socket(target.family)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, target.address)
            if target.tls is not None:
                return cls(await TlsSocket.open(sock, target.tls, str(target.address[0])))
        except OSError as error:
            sock.close()
            raise Loss(Outcome.REFUSED, repr(error)) from error
        return cls(PlainSocket(sock))

    def close(self) -> None:
        self._wire.close()

    async def send(self, data: bytes) -> None:
        """Send. A failure is none yet: the server may have answered before it closed, which is what
        will be read; that it has not is what counts."""
        with suppress(OSError):
            await self._wire.send(data)

    async def read_response(self) -> Response:
        head = await self._until(b"\r\n\r\n")
        self._begun = True
        lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines[1:] if line)
        headers = {name.lower(): text.strip() for name, _, text in fields}
        try:
            status = int(lines[0].split(" ")[1])
            body = await self._body(headers)
        except (ValueError, IndexError) as error:
            raise Loss(Outcome.CONTENT, f"{error!r} in {head[:80]!r}") from error
        self._begun = False
        self.answers += 1
        return Response(status, headers, body)

    async def idle(self, seconds: float) -> None:
        """Think, and notice what the server should not do meanwhile."""
        if self._buffer:
            raise Loss(Outcome.CONTENT, f"{bytes(self._buffer[:80])!r} behind a response")
        try:
            async with asyncio.timeout(seconds):
                await self._more()
        except TimeoutError:
            return
        except EOFError as error:
            raise Loss(Outcome.CLOSED_IDLE, str(error)) from error
        raise Loss(Outcome.CONTENT, f"{bytes(self._buffer[:80])!r} while idle")

    async def end(self) -> None:
        """The server announced its close: it must come, and nothing before it."""
        try:
            await self._more()
        except EOFError:
            return
        raise Loss(Outcome.CONTENT, f"{bytes(self._buffer[:80])!r} behind the last response")

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return await self._exactly(int(headers["content-length"]))
        body = bytearray()
        while size := int(await self._until(b"\r\n"), 16):
            body += await self._exactly(size)
            if await self._exactly(2) != b"\r\n":
                raise ValueError("a chunk does not end where it should")
        await self._until(b"\r\n")
        return bytes(body)

    async def _until(self, mark: bytes) -> bytes:
        """What comes up to ``mark``, without it."""
        while (at := self._buffer.find(mark)) < 0:
            await self._more_of_response()
        data = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return data

    async def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._more_of_response()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def _more_of_response(self) -> None:
        try:
            await self._more()
        except EOFError as error:
            if self._begun or self._buffer:
                raise Loss(Outcome.TRUNCATED, str(error)) from error
            raise self._lost(str(error)) from error

    async def _more(self) -> None:
        """Receive. Raises EOFError at the end, however it comes."""
        try:
            data = await self._wire.receive()
        except OSError as error:
            raise EOFError(repr(error)) from error
        if not data:
            raise EOFError("end")
        self._buffer += data

    def _lost(self, detail: str) -> Loss:
        return Loss(Outcome.LOST_KEPT if self.answers else Outcome.LOST_FRESH, detail)
