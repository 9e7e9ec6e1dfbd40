"""The WSGI gateway (PEP 3333).

The application is called when its request is complete, so that a slow sender never blocks it. All
its code for one request (the call, each ``next()``, ``close()``) runs without interruption in one
thread and in the request's own context: with one thread, requests never interleave. `output` keeps
what the client does not take meanwhile, so that a slow reader does not block it either. The thread
is the loop's, or one of a pool; the rest runs in the loop.
"""

import os
import sys
import traceback
from asyncio.events import _set_running_loop  # every event loop calls it
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from io import BytesIO
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from pyfork.compiled import mypyc_attr
from pyfork.http.connection.exchange import APP_FAILURE, Exchange
from pyfork.http.connection.response_writer import ResponseWriter
from pyfork.http.errors import ClientGone, ResponseError
from pyfork.http.request.head import FieldMapper, RequestHead
from pyfork.http.response.head import Response, as_bytes, join, plain_error
from pyfork.http.wsgi.body import BodyMemory, SpooledBody
from pyfork.http.wsgi.environ import Environ, EnvironBuilder, variable
from pyfork.http.wsgi.output import ResponseBuffer
from pyfork.http.wsgi.runners import InlineRunner, RequestPool
from pyfork.http.wsgi.sendfile import BLOCK, FileReader, FileSender, FileWrapper, Region
from pyfork.http.wsgi.status_line import Statuses

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection
    from pyfork.http.request_ids import RequestIds

_NO_START = "the application returned without calling start_response"
EXTEND_TIMEOUT = "pyfork.extend_timeout"  # in the environ: a function of seconds
_NEWS = 1.0  # seconds between two heartbeats while an application yields pieces

WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class WsgiGateway:
    """The application, and how to run it: common to all requests of a worker."""

    unbuffered = True  # PEP 3333: a piece is sent, or queued for sending, before the next is made
    environs_class: ClassVar[type[EnvironBuilder]] = EnvironBuilder
    new_sender: ClassVar[type[FileSender] | type[FileReader]] = FileSender

    def __init__(
        self,
        app: WsgiApp,
        inline: InlineRunner,
        *,
        pool: RequestPool | None,
        new_output: "Callable[[Connection], ResponseBuffer]",
        alive: Callable[[], None],
        multithread: bool,
        multiprocess: bool,
        root_path: str = "",
        body_memory: int = 64 << 20,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        """Application code runs in ``pool`` if there is one, else in the loop's thread.

        ``alive`` is called about once a second while an application yields pieces. ``left`` is
        called when `abandoned` decreases. ``body_memory`` is in bytes, for all bodies.
        """
        self.app = app
        self.pool = pool
        self.inline = inline
        self.new_output = new_output
        self.alive = alive
        self.environs = self.environs_class(
            multithread=multithread, multiprocess=multiprocess, root_path=root_path
        )
        self.entry: FieldMapper | None = variable
        self.statuses = Statuses()
        self.body_memory = BodyMemory(body_memory)
        self.context = copy_context()  # copied for each request
        self.abandoned = 0  # requests without a client whose application code still runs
        self.left = left
        self.request_ids: RequestIds | None = None
        # Makes the exchange of each request.
        self.exchange: Callable[[Connection, RequestHead], Exchange] = WsgiExchange


@mypyc_attr(allow_interpreted_subclasses=True)
class WsgiExchange(ResponseWriter):
    """One call of the application."""

    waiting_for_body = False
    reason: bytes | None = None
    # The result of the call.
    whole: Sequence[Any] | None = None  # all of the content
    region: Region | None = None  # of a file to send; we own its descriptor
    output: ResponseBuffer | None = None  # of a response in pieces
    broken: ResponseError | None = None  # the application violated HTTP
    error = False  # the application raised an exception, which is logged
    abandoned = False  # counted by the gateway
    returned = False  # no more application code will run
    hung = False  # a helper thread has answered, or is about to
    sender: Any = None  # a FileSender or FileReader, while a file is sent

    thread = 0  # that runs it, where there is a pool
    context: Context
    headers: list[Any]  # of pairs, if the application is right

    def __init__(self, connection: "Connection", head: RequestHead) -> None:
        self.connection = connection
        self.head = head
        # Attributes that each request uses are found faster here than in the class.
        self.gateway: WsgiGateway = connection.engine.gateway
        self.body: SpooledBody | None = None
        self.response: Response | None = None
        self.code = 0  # from start_response, like ``reason``
        self.detached = False  # the client has disconnected, or got a response from the server

    # Hooks of `Exchange`.

    def start(self) -> None:
        if not self.body_complete:
            self.waiting_for_body = True
            self.send_continue()
            return
        gateway, connection, body = self.gateway, self.connection, self.body
        if body is None:
            self.environ = gateway.environs.make(connection, self.head, BytesIO())
        else:
            self.environ = gateway.environs.make(connection, self.head, body.open(), len(body))
        context = gateway.context.copy()
        connection.engine.begin(self)
        if gateway.pool is not None:
            if connection.engine.config.request_timeout:
                self.environ[EXTEND_TIMEOUT] = self.extend_timeout
            self.context = context
            gateway.pool.run(self)
            return
        inline = gateway.inline
        inline.running = self
        if inline.asleep:
            inline.wake()
        _set_running_loop(None)
        try:
            context.run(self.serve)
        finally:
            _set_running_loop(inline.loop)
            inline.running = None
            if inline.watched:
                inline.settle()
        if inline.disturbed:
            inline.restore_wakeup()
        self.served()

    def body_received(self, data: bytes) -> None:
        if self.body is None:
            self.body = SpooledBody(self.gateway.body_memory)
        try:
            self.body.add(data)
        except OSError as error:  # the server's failure, not the application's
            self.detached = True
            self.refuse_response(f"no room for the request's body: {error}")

    def request_complete(self) -> None:
        if (
            self.waiting_for_body and not self.connection.write_paused
        ):  # earlier output has been sent
            self.start()

    def resume(self) -> None:
        if not self.started:
            if self.waiting_for_body and self.body_complete:
                self.start()
        elif self.sender is not None:
            self.sender.resume()
        elif self.region is not None:
            if self.returned:
                self._start_sender()
        elif self.output is not None and self.output.drain() and self.returned:
            self._end()

    def disconnected(self) -> None:
        self.detached = True
        if self.returned:
            self._give_up()
            return
        if self.output is not None:
            self.output.abandon()
        if self.started:
            self.abandoned = True
            self.gateway.abandoned += 1
        elif self.body is not None:
            self.body.close()

    def on_timeout(self, seconds: float) -> None:
        frame = sys._current_frames().get(self.thread)
        self.log_timeout(seconds, traceback.format_stack(frame) if frame is not None else [])
        line = f"{self.head.method} {self.head.path.decode('latin-1')}"
        self.connection.engine.on_timeout(f"{line} has been running for {seconds:.0f} s")
        self.detached = True
        self.fail(504, "no response in time")

    def refuse_hung(self, seconds: float, thread: int) -> None:
        connection = self.connection
        # The application may begin its response now, in its thread. It writes `output` and reads
        # `hung`, this thread the other way round: one of the two sees that it is too late.
        self.hung = True
        if self.output is not None or connection.lost or connection.unsent:
            self.hung = False
            return
        lines = connection.engine.heads.server_lines
        response = plain_error(504, "no response in time", self.head.method, **lines)
        with suppress(OSError):  # the client is gone
            connection.write_now(response)
        self.detached = True
        self.log_timeout(seconds, traceback.format_stack(sys._current_frames().get(thread)))

    @property
    def blocked(self) -> bool:
        return self.sender is not None or self.unsent > 0

    @property
    def unsent(self) -> int:
        return len(self.output) if self.output is not None else 0

    # Called by the application, in its thread.

    def start_response(
        self,
        status: str,
        headers: Iterable[tuple[str, str]],
        exc_info: Any = None,
    ) -> Callable[[bytes], None]:
        """PEP 3333's ``start_response``."""
        if exc_info is not None:
            try:
                if self.response is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # breaks the reference cycle with the traceback's frame
        elif self.code:
            raise AssertionError("start_response was called twice without exc_info")
        statuses = self.gateway.statuses
        self.code, self.reason = statuses.known.get(status) or statuses.learn(status)
        self.headers = list(headers)
        return self.write

    def write(self, content: Any) -> None:
        """PEP 3333's ``write``. Raises ClientGone, and ResponseError."""
        data = as_bytes(content)
        if data:
            self._send(data)
            self.gateway.alive()

    def serve(self) -> None:
        """Call the application and take all of its content."""
        try:
            result: Any = self.gateway.app(self.environ, self.start_response)
            kind = type(result)
            if (kind is list or kind is tuple) and self.response is None:  # these have no close()
                self.whole = result
            else:
                self._next_chunk(result)
        except ClientGone:
            self.detached = True
        except ResponseError as error:
            self.broken = error
        except APP_FAILURE:
            self.error = True
            self.log_failure()
        if self.body is not None:
            self.body.close()

    def _next_chunk(self, result: Any) -> None:
        """Take the content of ``result``, and call its ``close`` in any case."""
        try:
            if type(result) is not FileWrapper:
                self._send_pieces(result)
            elif not self._take_region(result):
                self._send_pieces(result.pieces(self._promised()))
        finally:
            try:
                if (close := getattr(result, "close", None)) is not None:
                    close()
            except APP_FAILURE:
                self.log_failure()

    def _send_pieces(self, pieces: Iterable[Any]) -> None:
        """Send each piece before the next is requested, then the end of the content."""
        head_only = self.head.method == "HEAD"
        news = self.started + _NEWS
        for piece in pieces:
            data = piece if type(piece) is bytes else as_bytes(piece)
            if not data:  # the head waits for content
                continue
            self._send(data)
            if head_only:
                break
            if (now := monotonic()) > news:
                news = now + _NEWS
                self.gateway.alive()
        if self.response is None:
            self.whole = ()
        elif last := self.response.end():
            assert self.output is not None
            self.output.write(last)

    def _send(self, data: bytes) -> None:
        if self.response is None:
            pool = self.gateway.pool
            begin = partial(self._begin, data)
            framed = begin() if pool is None else pool.run_in_loop(begin)
        else:
            framed = self.response.body(data)
            self.length += len(data)
        if framed:
            assert self.output is not None
            self.output.write(framed)

    def _begin(self, data: bytes) -> bytes:
        """Send the head with the first piece, in the loop."""
        if not self.code:
            raise ResponseError(_NO_START)
        self.output = self.gateway.new_output(self.connection)  # before `hung` is read
        if self.detached or self.hung:
            raise ClientGone("the request has had an answer")
        return self.begin(self.code, self.reason, self.headers, data)

    def _take_region(self, wrapper: FileWrapper) -> bool:
        """Keep a regular file for sending without the application. Returns whether it is one."""
        region = wrapper.file_range() if self.response is None else None
        if region is None:
            return False
        fd, offset, count = region.fd, region.offset, region.count
        if (promised := self._promised()) is not None:
            count = min(count, promised)
        if count <= BLOCK:
            self.whole = (os.pread(fd, count, offset),)
        else:
            self.region = Region(os.dup(fd), offset, count)
        return True

    def _promised(self) -> int | None:
        """Return the application's Content-Length; it is checked elsewhere."""
        if not self.code:
            raise ResponseError(_NO_START)
        for name, value in self.headers:
            if name.lower() == "content-length":
                return int(value) if value.isdecimal() else None
        return None

    # In the loop.

    def served(self) -> None:
        """Send what is left: no more application code will run."""
        try:
            if (whole := self.whole) is not None and self.code and not self.detached:
                data = whole[0] if len(whole) == 1 else join(whole)
                self.respond_whole(self.code, self.reason, self.headers, data)
                return
            self.returned = True
            if self.detached:
                if self.abandoned:
                    self.gateway.abandoned -= 1
                    self.gateway.left()
                self._give_up()
            elif whole is not None:
                raise ResponseError(_NO_START)
            elif self.region is not None:
                self._send_region(self.region)
            elif self.output is None or self.output.drain():
                self._end()
        except ResponseError as error:
            self.refuse_response(error)
            self._give_up()

    def _end(self) -> None:
        """End: all content has been passed to the client's connection."""
        if self.broken is not None:
            self.refuse_response(self.broken)
        elif self.error:
            self.fail()
        else:
            self.complete()

    def _give_up(self) -> None:
        """Abandon the rest: the client is gone."""
        if self.output is not None:
            self.output.abandon()
        if self.sender is not None:
            self.sender.stop()
            self.sender = None
        elif self.region is not None:
            os.close(self.region.fd)
        self.region = None
        if self.hung:
            self.response = Response(504, b"", close=True, content=False, chunked=False, left=0)
            self.complete()
        else:
            self.fail(why="the client has gone")

    # Files.

    def _send_region(self, region: Region) -> None:
        self.respond(self.code, self.reason, self.headers, length=region.count)
        assert self.response is not None
        if self.response.remaining == 0:  # no content may follow: HEAD, 204, 304
            os.close(region.fd)
            self.region = None
            self.finish()
        elif not self.connection.write_paused:  # else when the head has been sent
            self._start_sender()

    def _start_sender(self) -> None:
        assert self.region is not None
        region, self.region = self.region, None
        self.sender = self.gateway.new_sender(
            self.connection, region, progress=self._file_progress, done=self._file_sent
        )

    def _file_progress(self, sent: int) -> None:
        assert self.response is not None
        self.length += sent
        self.response.sent(sent)

    def _file_sent(self, error: OSError | None) -> None:
        self.sender = None
        if error is not None:
            self.fail(why=str(error))
            return
        try:
            self.finish()
        except ResponseError as short:
            self.refuse_response(short)
