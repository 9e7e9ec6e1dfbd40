"""The WSGI gateway (PEP 3333).

The application is called when its request is whole, so that a slow sender never holds it, and
its iterable is asked for the next piece only when the client has room, so that a slow reader
never holds it either. Application code runs in steps (`_call`, `_next`, `_close`), each followed
by its consequence in the loop; a `Runner` decides in which thread the steps run. Every step of
one request runs in the request's own context (contextvars), whatever runs between them.
"""

from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pyfork.http.body import Body
from pyfork.http.environ import Environ, Environs, variable
from pyfork.http.exchange import APP_FAILURE, Exchange
from pyfork.http.reader import Entry
from pyfork.http.request import RequestHead
from pyfork.http.response import REASONS, ResponseError
from pyfork.http.runner import Inline, Runner
from pyfork.http.sendfile import BLOCK, FileSender, FileWrapper

if TYPE_CHECKING:
    from types import TracebackType

    from pyfork.http.connection import Connection

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

_NO_START = "the application returned without calling start_response"

_WHOLE = frozenset((list, tuple))  # results that hold all of the content, and nothing to close
_GIVEN = _WHOLE | {FileWrapper}  # those that are not iterated

WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class WsgiGateway:
    """What all requests of one worker share: the application and how to run it."""

    def __init__(
        self,
        app: WsgiApp,
        runner: Runner,
        *,
        multithread: bool,
        multiprocess: bool,
        root_path: str = "",
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self.app = app
        self.runner = runner
        self.inline = isinstance(runner, Inline)
        self.environs = Environs(
            multithread=multithread, multiprocess=multiprocess, root_path=root_path
        )
        self.entry: Entry | None = variable
        self.statuses = Statuses()
        self.context = copy_context()  # what each request begins with
        self.closing = 0  # results whose response has left, and whose close() has not returned
        self._closed = closed
        # What the engine makes for each request.
        self.exchange: Callable[[Connection, RequestHead], Exchange] = type(
            "WsgiExchange", (WsgiExchange,), {"gateway": self}
        )

    def count_closed(self) -> None:
        """One of them has; ``closed`` is told."""
        self.closing -= 1
        self._closed()


class Statuses:
    """Status texts of applications, read: the code, and the reason if it is not the usual one."""

    _MOST = 64

    def __init__(self) -> None:
        self.known: dict[str, tuple[int, bytes | None]] = {}

    def learn(self, status: str) -> tuple[int, bytes | None]:
        """One that is not known. Raises ValueError."""
        code, _, text = status.partition(" ")
        if len(code) != 3 or not code.isdecimal():
            raise ValueError(f"start_response: a status is like '200 OK', not {status!r}")
        number, reason = int(code), text.encode("latin-1")
        read = number, None if reason == REASONS.get(number) else reason
        if len(self.known) < self._MOST:
            self.known[status] = read
        return read


class WsgiExchange(Exchange):
    """One call of the application."""

    turn = False
    body: Body | None = None
    # What start_response said.
    code = 0
    reason: bytes | None = None
    # The application's result, and how far it has been read.
    result: Any = None
    pieces: Iterator[bytes] | None = None
    piece: bytes | None = None  # the next to send; None at the end
    error = False  # the application raised; logged where it did
    held = False  # paused until the client takes more
    given_up = False  # the client has gone, or has had an answer without us
    sender: FileSender | None = None

    gateway: WsgiGateway  # each has a class of exchanges
    context: Context
    headers: list[tuple[str, str]]

    def __init__(self, connection: "Connection", head: RequestHead) -> None:
        self.connection = connection
        self.head = head

    # Hooks of Exchange.

    def start(self) -> None:
        if not self.arrived:
            self.turn = True
            self.send_continue()
            return
        gateway, connection, body = self.gateway, self.connection, self.body
        if body is None:
            self.environ = gateway.environs.make(connection, self.head, BytesIO())
        else:
            self.environ = gateway.environs.make(connection, self.head, body.open(), len(body))
        self.context = gateway.context.copy()
        connection.engine.begin(self)
        if gateway.inline:
            self._call()
            self._called()
        else:
            gateway.runner.run(self._call, self._called)

    def body_received(self, data: bytes) -> None:
        if self.body is None:
            self.body = Body()
        try:
            self.body.add(data)
        except OSError as error:  # it is ours and not the application's
            self.given_up = True
            self.refuse_response(f"no room for the request's body: {error}")

    def request_complete(self) -> None:
        if self.turn:
            self.start()

    def resume(self) -> None:
        if self.held:
            self.held = False
            self._advance()

    def disconnected(self) -> None:
        self.given_up = True
        if self.sender is not None or self.held:
            self._give_up()
        elif not self.started and self.body is not None:
            self.body.close()

    def overdue(self, seconds: float) -> None:
        from pyfork.log.stacks import log_stacks

        line = f"{self.head.method} {self.head.path.decode('latin-1')}"
        log_stacks(f"{line} has been running for {seconds:.0f} s")
        self.connection.engine.overdue(f"{line} has been running for {seconds:.0f} s")
        self.given_up = True
        self.fail(503, "no response in time")

    @property
    def blocked(self) -> bool:
        return self.sender is not None

    # The application's side. These run wherever the runner says.

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: "ExcInfo | None" = None,
    ) -> Callable[[bytes], None]:
        """PEP 3333's ``start_response``."""
        if exc_info is not None:
            try:
                if self.response is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # break the cycle with the traceback's frame
        elif self.code:
            raise AssertionError("start_response was called twice without exc_info")
        statuses = self.gateway.statuses
        self.code, self.reason = statuses.known.get(status) or statuses.learn(status)
        self.headers = list(headers)
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333's ``write``: for applications of old; it cannot wait for the client."""
        self.gateway.runner.in_loop(lambda: self._send(data))

    def _call(self) -> None:
        """Call the application and take its first piece."""
        try:
            self.result = self.context.run(self.gateway.app, self.environ, self.start_response)
            if type(self.result) not in _GIVEN:
                self.pieces = iter(self.result)
                self._take()
        except APP_FAILURE:
            self._failed()

    def _next(self) -> None:
        """Take the next piece."""
        try:
            self._take()
        except APP_FAILURE:
            self._failed()

    def _take(self) -> None:
        """Set ``piece``; an empty one is as none yet, since a head waits for content."""
        pieces = self.pieces
        assert pieces is not None
        piece: bytes | None = b""
        while piece == b"":
            piece = self.context.run(next, pieces, None)
        self.piece = piece
        if piece is None:
            self._close()

    def _failed(self) -> None:
        self.error = True
        self.log_failure()
        self._close()

    def _close(self) -> None:
        """Call the result's ``close``, once, however its iteration ended."""
        result, self.result = self.result, None
        self.pieces = None
        close = getattr(result, "close", None)
        if close is not None:
            try:
                self.context.run(close)
            except APP_FAILURE:
                self.log_failure()
        if self.body is not None:
            self.body.close()

    # The loop's side.

    def _called(self) -> None:
        """The application returned: send what it gave."""
        if self.given_up or self.error:
            self._give_up() if self.given_up else self.fail()
            return
        result = self.result
        try:
            if type(result) in _WHOLE:
                data = result[0] if len(result) == 1 else b"".join(result)
                if self.code and self.response is None:
                    self.respond_whole(self.code, self.reason, self.headers, data)
                else:  # write() has begun it
                    self._send(data)
                    self.finish()
                if self.body is not None:
                    self.body.close()
            elif type(result) is FileWrapper:
                self._send_file(result)
            else:
                self._taken()
        except (ResponseError, TypeError) as error:
            self._broken(error)

    def _taken(self) -> None:
        """Send the piece that was taken, then go on as the client allows."""
        if self.given_up or self.error:
            self._give_up() if self.given_up else self.fail()
            return
        try:
            if self.piece is None:
                self._end()
                return
            self._send(self.piece)
        except (ResponseError, TypeError) as error:
            self._broken(error)
            return
        if self.head.method == "HEAD":
            self.finish()
            self._close_later()
        elif self.connection.write_paused:
            self.held = True
        else:
            # One piece a turn: it must leave before the next is asked for (PEP 3333).
            self.connection.engine.loop.call_soon(self._advance)

    def _advance(self) -> None:
        if self.given_up:
            self._give_up()
        elif self.sender is None and type(self.result) is FileWrapper:
            self._start_sender()
        else:
            self.gateway.runner.run(self._next, self._taken)

    def _send(self, data: bytes) -> None:
        if self.response is None:
            if not self.code:
                raise ResponseError(_NO_START)
            self.respond(self.code, self.reason, self.headers, data)
        elif data:
            self.send_more(data)

    def _end(self) -> None:
        if self.response is None:
            if not self.code:
                raise ResponseError(_NO_START)
            self.respond(self.code, self.reason, self.headers, length=0)
        self.finish()

    def _broken(self, error: Exception) -> None:
        self.refuse_response(error)
        self._close_later()

    def _close_later(self) -> None:
        """Close the result where application code runs."""
        if getattr(self.result, "close", None) is not None:
            self.gateway.closing += 1
            self.gateway.runner.run(self._close, self.gateway.count_closed)
        elif self.body is not None:
            self.body.close()

    def _give_up(self) -> None:
        """Nobody waits for the rest."""
        if self.sender is not None:
            self.sender.stop()
            self.sender = None
        self.held = False
        self._close_later()
        self.fail(why="the client has gone")

    # Files.

    def _send_file(self, wrapper: FileWrapper) -> None:
        if not self.code:
            raise ResponseError(_NO_START)
        region = None if self.response is not None else wrapper.region()
        if region is None:
            self.pieces = iter(wrapper)
            self.gateway.runner.run(self._next, self._taken)
            return
        fd, offset, count = region
        if count <= BLOCK:
            import os

            self.respond_whole(self.code, self.reason, self.headers, os.pread(fd, count, offset))
            self._close_later()
            return
        self.connection.transport.set_write_buffer_limits(0)
        self.respond(self.code, self.reason, self.headers, length=count)
        if self.head.method == "HEAD":
            self._file_sent(None)
        elif self.connection.transport.get_write_buffer_size():
            self.held = True  # until the head has left: see `sendfile`
        else:
            self._start_sender()

    def _start_sender(self) -> None:
        fd, offset, count = self.result.region()
        assert self.response is not None
        if self.response.left is not None:
            count = min(count, self.response.left)
        self.sender = FileSender(
            self.connection.engine.loop,
            self.connection.transport,
            fd,
            offset,
            count,
            progress=self._file_progress,
            done=self._file_sent,
        )

    def _file_progress(self, sent: int) -> None:
        assert self.response is not None
        self.length += sent
        self.response.sent(sent)

    def _file_sent(self, error: OSError | None) -> None:
        self.sender = None
        self.connection.transport.set_write_buffer_limits()
        if error is not None:
            self.fail(why=str(error))
        else:
            try:
                self.finish()
            except ResponseError as short:
                self.refuse_response(short)
        self._close_later()
