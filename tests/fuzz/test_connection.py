"""The connection against mutated streams, in process, on every gateway, with TLS and without.

Invariants, whatever comes: nothing is written behind an end; what waits for a client that does not
read is bounded; the answers are whole HTTP messages, in order, with at most one refusal, which is
the last; and an hour later nothing of the connection is left.

    pytest -m soak tests/fuzz/test_connection.py     # SOAK_SECONDS of each kind, 5 without
"""

import asyncio
import logging
import os
import ssl
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

from pyfork.config.command_line.arguments import parse
from pyfork.config.load import load
from pyfork.http.asgi.gateway import AsgiGateway
from pyfork.http.connection.connection import SLICE, Connection
from pyfork.http.connection.engine import Engine
from pyfork.http.connection.timeouts.deadlines import Timeouts
from pyfork.http.connection.timeouts.sweep import sweep
from pyfork.http.tls.connection import TlsConnection
from pyfork.http.tls.gateways import TlsAsgiGateway, TlsWsgiGateway
from pyfork.http.tls.handshakes import Handshakes
from pyfork.http.wsgi.gateway import WsgiGateway
from pyfork.http.wsgi.output import BufferSpace, DirectOutput, QueuedOutput
from pyfork.http.wsgi.runners import InlineRunner, Job
from pyfork.ipc.scoreboard import Scoreboard
from pyfork.net.tls.session import Context
from tests.end_to_end.tls.authority import Authority
from tests.fuzz import apps
from tests.fuzz.pipe import HIGH, Pipe
from tests.fuzz.streams import pieces, stream

T = TypeVar("T")

READ = 256 * 1024  # bytes that a loop reads at once
OPTIONS = ("app:app", "--limit-request-body", "150000")
KINDS = ("sync", "thread", "asgi", "sync-tls", "thread-tls", "asgi-tls", "sync-h11", "asgi-h11")
RUNS = 100  # streams of each kind
FOUND = (1795861918,)  # seeds that a soak found: an end while bytes waited for their turn
LONG_RUN = float(os.environ.get("SOAK_SECONDS", "5"))  # seconds of a soak, of each kind


class Threads:
    """A pool whose threads work when the test says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: deque[Job] = deque()

    def run(self, job: Job) -> None:
        self._jobs.append(job)

    def in_loop(self, call: Callable[[], T]) -> T:
        return call()

    def work(self) -> None:
        """One job, and its consequence in the next turn of the loop."""
        if self._jobs:
            job = self._jobs.popleft()
            job.context.run(job.serve)
            self._loop.call_soon(job.served)


class World:
    """One engine, in a loop and with a clock that only move when they are told to."""

    def __init__(self, kind: str, authority: Authority | None) -> None:
        self.loop = asyncio.new_event_loop()
        self.failures: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.failures.append(str(context)))
        self.threads = Threads(self.loop)
        self.now = time.monotonic()
        name, _, variant = kind.partition("-")
        tls, http = variant == "tls", "h11" if variant == "h11" else "auto"
        config = load(parse([*OPTIONS, "--http", http]), {}, Path()).config
        gateway: Any
        if name == "asgi":
            made = TlsAsgiGateway if tls else AsgiGateway
            gateway = made(apps.asgi, loop=self.loop, root_path="", state={})
        else:
            room = BufferSpace(
                each=1 << 20, spool=0
            )  # for whole responses: nothing waits in `write`
            direct = partial(DirectOutput, room=room, limit=1.0, progress=1.0, alive=lambda: None)
            queued = partial(QueuedOutput, room=room)
            gateway = (TlsWsgiGateway if tls else WsgiGateway)(
                apps.wsgi,
                InlineRunner(self.loop),
                pool=None if name == "sync" else self.threads,
                new_output=direct if name == "sync" else queued,
                alive=lambda: None,
                multithread=False,
                multiprocess=False,
            )
        board = Scoreboard(1)
        board.mark_used(0)
        self.engine = Engine(config, loop=self.loop, row=board.row(0), gateway=gateway)
        self.engine.on_timeout = lambda why: None
        self.limits = Timeouts.from_config(config)
        self.handshakes: Handshakes | None = None
        self.client: ssl.SSLContext | None = None
        if tls:
            assert authority is not None
            server = Context(ssl.PROTOCOL_TLS_SERVER)
            server.load_cert_chain(*authority.issue("127.0.0.1"))
            self.client = authority.client()
            self.handshakes = Handshakes(
                self.engine,
                server,
                new_connection=TlsConnection,
                limit=30,
                changed=lambda: None,
            )

    def connect(self) -> Pipe:
        """A new connection."""
        self.engine.count(1)
        if self.handshakes is not None:
            return Pipe(self.loop, self.handshakes.new_transport())
        return Pipe(self.loop, Connection(self.engine))

    def call(self, what: Callable[..., object], *words: object) -> None:
        """Something happens in the loop."""
        self.loop.call_soon(what, *words)
        self.turn()

    def turn(self) -> None:
        """One turn of the loop."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def sleep(self, seconds: int) -> None:
        """So many seconds pass, with a sweep in each."""
        for _ in range(seconds):
            self.now += 1
            self.call(sweep, self.engine, self.limits, self.now)
            if self.handshakes is not None:
                self.handshakes.sweep(self.now)

    def close(self) -> None:
        """The end of it all: tasks that the clients have left behind are gone as well."""
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def quietly(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What applications raise on purpose is logged a thousand times."""
    caplog.set_level(logging.CRITICAL)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Client:
    """Sends pieces as far as they are taken, with TLS where the world speaks it."""

    def __init__(self, world: World, random: Random) -> None:
        self.world = world
        self.random = random
        self.pipe = world.connect()
        self.tls: ssl.SSLObject | None = None
        if world.client is not None:
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = world.client.wrap_bio(
                self._incoming, self._outgoing, server_hostname="127.0.0.1"
            )
        self.pieces = pieces(stream(random), random)
        if self.tls is not None:
            self._encrypt()
        self.ended = False

    def _encrypt(self) -> None:
        """Shake hands, and make records of the pieces; some are mutated after that."""
        assert self.tls is not None
        for _ in range(6):
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
            self.world.call(self.pipe.receive, self._outgoing.read())
            self.world.call(self.pipe.take, 1 << 20)
            self._incoming.write(bytes(self.pipe.sent))
            self.pipe.sent.clear()
        finished = self._outgoing.read()
        records = [finished] if finished else []
        for piece in self.pieces:
            self.tls.write(piece)
            records.append(self._outgoing.read())
        if records and self.random.random() < 0.3:
            which = self.random.randrange(len(records))
            record = bytearray(records[which])
            record[self.random.randrange(len(record))] ^= 1 << self.random.randrange(8)
            records[which] = bytes(record)
        self.pieces = records

    def step(self) -> None:
        """Something happens."""
        random, pipe = self.random, self.pipe
        kind = random.random()
        if kind < 0.5 and self.pieces and pipe.reading and not pipe.closing:
            piece = self.pieces.pop(0)
            self.world.call(pipe.receive, piece[:READ])
            if piece[READ:]:
                self.pieces.insert(0, piece[READ:])
        elif kind < 0.7:
            self.world.call(pipe.take, random.choice((1, 1000, 100_000)))
        elif kind < 0.8:
            self.world.call(self.world.threads.work)
        elif kind < 0.82 and not self.pieces and not self.ended and not pipe.closing:
            self.ended = True
            self.world.call(pipe.receive_eof)
        elif kind < 0.825 and not pipe.lost:
            self.world.call(pipe.reset)
        elif kind < 0.84:
            self.world.sleep(random.choice((1, 1, 40)))
        self.world.turn()
        self._check()

    def _check(self) -> None:
        assert not self.pipe.misuse, self.pipe.misuse
        assert not self.world.failures, self.world.failures
        # One answer, or piece of one, beyond the mark; TLS adds a little to each record.
        assert self.pipe.most <= (HIGH + apps.BIG) * 1.05
        for connection in self.world.engine.connections:
            assert len(connection.buffered) <= READ + SLICE
            assert len(connection.waiting) <= SLICE // 20

    def finish(self) -> bytes:
        """The client reads all; then it only waits. Returns what it got."""
        for _ in range(400):
            self.world.call(self.pipe.take, 1 << 20)
            self.world.call(self.world.threads.work)
            if self.pieces and self.pipe.reading and not self.pipe.closing:
                self.world.call(self.pipe.receive, self.pieces.pop(0)[:READ])
            self.world.turn()
            self._check()
        for _ in range(10):
            self.world.sleep(70)
            self.world.call(self.pipe.take, 1 << 20)
            self.world.call(self.world.threads.work)
        self._check()
        return self._decrypted()

    def _decrypted(self) -> bytes:
        if self.tls is None:
            return bytes(self.pipe.sent)
        self._incoming.write(bytes(self.pipe.sent))
        got = b""
        try:
            while data := self.tls.read(1 << 16):
                got += data
        except ssl.SSLError:  # all is read, or it has broken off
            pass
        return got


def check_answers(data: bytes) -> None:
    """Whole messages in order; the last may be cut, and nothing follows one that closes."""
    at = 0
    closes = False
    while at < len(data):
        assert not closes, data[at : at + 100]
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return
        lines = data[at:end].split(b"\r\n")
        assert lines[0].startswith(b"HTTP/1.1 "), lines[0]
        status = int(lines[0].split()[1])
        at = end + 4
        if status == 100:
            continue
        fields = dict(line.split(b": ", 1) for line in lines[1:])
        closes = fields.get(b"Connection") == b"close"
        if b"Transfer-Encoding" in fields:
            at = chunked_end(data, at)
        elif data[at : at + 9] != b"HTTP/1.1 ":  # else it was HEAD, or has no content
            at += int(fields.get(b"Content-Length", len(data)))


def chunked_end(data: bytes, at: int) -> int:
    """Where a chunked body ends. HEAD has none."""
    while data[at : at + 9] != b"HTTP/1.1 ":
        stop = data.find(b"\r\n", at)
        if stop < 0:
            return len(data)
        size = int(data[at:stop], 16)
        at = stop + 2 + size + 2
        if not size:
            return at
    return at


def run(world: World, seed: int) -> None:
    """One connection's life."""
    random = Random(seed)
    client = Client(world, random)
    for _ in range(random.choice((20, 100, 300))):
        client.step()
    check_answers(client.finish())
    engine = world.engine
    assert client.pipe.lost
    assert not engine.connections
    assert (engine.open_connections, engine.running) == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_streams(kind: str, authority: Authority) -> None:
    world = World(kind, authority)
    for seed in (*range(RUNS), *FOUND):
        try:
            run(world, seed)
        except BaseException:
            print(f"{kind}: seed {seed}")
            raise
    world.close()


@pytest.mark.parametrize("kind", ["sync", "asgi"])
def test_a_body_in_many_pieces_costs_its_bytes(kind: str, authority: Authority) -> None:
    """Two bytes at a time, of which an application receives none yet."""
    world = World(kind, authority)
    pipe = world.connect()
    figures: list[int] = []

    def receive() -> None:
        """All in one turn of the loop."""
        pipe.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 140000\r\n\r\n")
        tracemalloc.start()
        sent = 0
        while pipe.reading and sent < 100_000:
            pipe.receive(b"%02d" % (sent % 100))
            sent += 2
        figures.extend((sent, tracemalloc.get_traced_memory()[0]))
        tracemalloc.stop()

    world.call(receive)
    sent, kept = figures
    assert sent > HIGH
    assert kept < 2 * sent
    world.call(pipe.reset)
    for _ in range(3):
        world.turn()
    assert not world.failures
    world.close()


@pytest.mark.soak
@pytest.mark.timeout(LONG_RUN + 60)
@pytest.mark.parametrize("kind", KINDS)
def test_streams_for_long(kind: str, authority: Authority) -> None:
    world = World(kind, authority)
    start, seed = time.monotonic(), int(time.time())
    print(f"{kind}: from seed {seed} on")
    while time.monotonic() < start + LONG_RUN:
        try:
            run(world, seed)
        except BaseException:
            print(f"{kind}: seed {seed}")
            raise
        seed += 1
    world.close()
