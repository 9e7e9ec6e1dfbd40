"""A small HTTP/1.1 server on h11: GET and HEAD, bounded in bytes, time and connections.

It is no hot path, and clients of it are few: monitoring, probes, an operator's browser.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus

import h11

from pyfork.record import record

MAX_CONNECTIONS = 64
MAX_HEAD = 16 << 10  # bytes
IDLE_LIMIT = 75.0  # seconds between two requests; scrapes are often a minute apart
HEAD_LIMIT = 10.0  # seconds for a request or a response to pass
READ_SIZE = 16 << 10  # bytes


@record
class Request:
    """A request of a client."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case


@record
class StatusResponse:
    """The response to it."""

    status: int
    content_type: str
    content: bytes
    headers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[Request], Awaitable[StatusResponse]]


class HttpServer:
    """Serves one listener."""

    def __init__(self, listener: socket.socket, answer: Answer) -> None:
        self._listener = listener
        self._answer = answer
        self._open = 0  # connections
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to accept."""
        start = (
            asyncio.start_unix_server
            if self._listener.family == socket.AF_UNIX
            else asyncio.start_server
        )
        self._server = await start(self._connected, sock=self._listener, limit=MAX_HEAD)

    def close(self) -> None:
        """Accept no more."""
        if self._server is not None:
            self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MAX_CONNECTIONS:
                await self._serve(reader, writer)
        except (OSError, TimeoutError, h11.RemoteProtocolError):
            pass
        finally:
            self._open -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        limit = HEAD_LIMIT
        while connection.our_state is h11.IDLE:
            try:
                request = await asyncio.wait_for(_read(connection, reader), limit)
            except h11.RemoteProtocolError as error:
                refusal = StatusResponse(error.error_status_hint, "text/plain", b"Bad Request\n")
                await self._send(connection, writer, refusal, head=False)
                return
            if request is None:
                return
            response = await self._answer(request)
            await self._send(connection, writer, response, head=request.method == "HEAD")
            if {connection.our_state, connection.their_state} != {h11.DONE}:
                return
            connection.start_next_cycle()
            limit = IDLE_LIMIT

    async def _send(
        self,
        connection: h11.Connection,
        writer: asyncio.StreamWriter,
        response: StatusResponse,
        *,
        head: bool,
    ) -> None:
        headers = [
            ("content-type", response.content_type),
            ("content-length", str(len(response.content))),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            *response.headers,
        ]
        reason = HTTPStatus(response.status).phrase
        sent = connection.send(
            h11.Response(status_code=response.status, headers=headers, reason=reason)
        )
        if response.content and not head:
            sent += connection.send(h11.Data(data=response.content)) or b""
        sent += connection.send(h11.EndOfMessage()) or b""
        writer.write(sent)
        with suppress(ConnectionError):
            await asyncio.wait_for(writer.drain(), HEAD_LIMIT)


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """The next request, its content dropped; None: there is none.

    Raises:
        h11.RemoteProtocolError: it is no request.
    """
    request, content = None, 0
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await reader.read(READ_SIZE))
            case h11.Request() as head:
                path = head.target.decode("latin-1").partition("?")[0]
                fields = {
                    name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers
                }
                request = Request(head.method.decode("latin-1"), path, fields)
            case h11.Data(data=data):
                content += len(data)
                if content > MAX_HEAD:
                    raise h11.RemoteProtocolError("too much content", error_status_hint=413)
            case h11.EndOfMessage():
                return request
            case _:  # the client has gone
                return None
