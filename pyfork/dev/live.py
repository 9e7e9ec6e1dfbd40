"""Live reload of pages: a stream of events (SSE) to each page of the development server.

A stream begins with the number of the generation that serves. It ends when the worker is told to
leave, which is after a successful reload; the page connects again, sees another number, and loads
itself. While there are streams, style sheets and scripts of the project are looked at.

The streams are exchanges of pyfork's engine and never reach the application, so that a worker with
one thread is not held by them.
"""

import asyncio
import os
from collections.abc import Callable

from pyfork.dev.live_script import SCRIPT, SCRIPT_PATH, STREAM_PATH
from pyfork.dev.watch_filter import NOISE_FILES, Signature, WatchFilter
from pyfork.http.connection.connection import Connection
from pyfork.http.connection.engine import Engine
from pyfork.http.connection.exchange import Exchange
from pyfork.http.connection.response_writer import ResponseWriter
from pyfork.http.request.head import RequestHead
from pyfork.ipc.worker_args import WorkerArgs

INTERVAL = 0.3  # seconds between two looks at style sheets and scripts
STYLES = ("*.css",)
PAGES = ("*.js", "*.mjs", "*.svg", "*.png", "*.jpg", "*.webp")

_STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
_JS = [(b"content-type", b"text/javascript; charset=utf-8"), (b"cache-control", b"no-store")]


def install(engine: Engine[Connection], args: WorkerArgs, draining: asyncio.Event) -> None:
    """Have ``engine`` answer the page's script and its streams; ``draining``: the worker leaves."""
    streams = LiveStreams(engine.loop, args, draining)
    usual = engine.new_exchange

    def exchange(connection: Connection, head: RequestHead) -> Exchange:
        path = head.path.partition(b"?")[0]
        if path == STREAM_PATH:
            return _Stream(connection, head, streams)
        return _Script(connection, head) if path == SCRIPT_PATH else usual(connection, head)

    engine.new_exchange = exchange


class LiveStreams:
    """The streams that are open in this worker."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, args: WorkerArgs, draining: asyncio.Event
    ) -> None:
        self._loop = loop
        self._draining = draining
        self._open: set[_Stream] = set()
        self._task: asyncio.Task[None] | None = None
        self._seen: dict[str, Signature] = {}
        watched = WatchFilter.of(args.config, (), args.directory.base)
        self._filter = WatchFilter(
            watched.directories, (), (*STYLES, *PAGES), (*NOISE_FILES, *args.config.reload_exclude)
        )
        self.greeting = f"retry: 100\nevent: at\ndata: {os.getppid()}.{args.generation}\n\n"

    def prepare(self) -> None:
        """A page is about to connect: what changes from now on is told."""
        if self._task is None:
            self._seen = self._filter.scan().files

    def add(self, stream: "_Stream") -> None:
        """A page has connected."""
        if self._draining.is_set():
            stream.end()
            return
        self._open.add(stream)
        if self._task is None:
            self._task = self._loop.create_task(self._live())

    def remove(self, stream: "_Stream") -> None:
        """It is gone."""
        self._open.discard(stream)

    async def _live(self) -> None:
        """Look at files while there are streams; end them when the worker leaves."""
        while self._open and not self._draining.is_set():
            try:
                await asyncio.wait_for(self._draining.wait(), INTERVAL)
            except TimeoutError:
                before, self._seen = self._seen, await self._look()
                self._tell(before, self._seen)
        self._task = None
        for stream in list(self._open):
            stream.end()

    async def _look(self) -> dict[str, Signature]:
        snapshot = await self._loop.run_in_executor(None, self._filter.scan)
        return snapshot.files

    def _tell(self, before: dict[str, Signature], now: dict[str, Signature]) -> None:
        changed = [path for path in before.keys() | now.keys() if before.get(path) != now.get(path)]
        if not changed:
            return
        event = "css" if all(path.endswith(".css") for path in changed) else "page"
        for stream in list(self._open):
            stream.tell(event)


class _Own(ResponseWriter):
    """A request that pyfork answers by itself, and does not log."""

    def body_received(self, data: bytes) -> None:
        """It has no meaning."""

    def request_complete(self) -> None:
        """It has no meaning."""

    def complete(self) -> None:
        assert self.response is not None
        self.connection.engine.drop(self)
        self.connection.exchange_done(self.response)


class _Script(_Own):
    """The page's script."""

    def start(self) -> None:
        self.respond(200, None, _JS, SCRIPT, length=len(SCRIPT))
        self.finish()


class _Stream(_Own):
    """One page's stream."""

    def __init__(self, connection: Connection, head: RequestHead, streams: LiveStreams) -> None:
        super().__init__(connection, head)
        self._streams = streams

    def start(self) -> None:
        if self.head.method == "HEAD":
            self.respond(200, None, _STREAM)
            self.finish()
            return
        self._streams.prepare()
        self.respond(200, None, _STREAM, self._streams.greeting.encode())
        self._streams.add(self)

    def tell(self, event: str) -> None:
        """Send an event without content."""
        self._unless_gone(lambda: self.send_more(f"event: {event}\ndata:\n\n".encode()))

    def end(self) -> None:
        """The page is to connect again."""
        self._streams.remove(self)
        self._unless_gone(self.finish)

    def disconnected(self) -> None:
        self._streams.remove(self)
        if not self.finished:
            self.connection.engine.drop(self)

    def _unless_gone(self, act: Callable[[], None]) -> None:
        if not (self.finished or self.connection.lost):
            act()
