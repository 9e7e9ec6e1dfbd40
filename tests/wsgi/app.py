"""What applications do in a request, by path; nothing here is checked by a validator."""

import asyncio
import contextvars
import gzip
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]

TEXT = [("Content-Type", "text/plain")]
CONTENT = bytes(range(256)) * 1024  # of the files

events: list[str] = []  # of all requests, in order
mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="none")
local = threading.local()


class Panic(BaseException):
    """What an extension module raises where it fails."""


ERRORS: dict[str, BaseException] = {
    "Panic": Panic("at the disco"),
    "GeneratorExit": GeneratorExit(),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "CancelledError": asyncio.CancelledError(),
    "SystemExit": SystemExit(3),
    "StopIteration": StopIteration(),
    "ValueError": ValueError("plain"),
}


class Response:
    """An iterable with ``close``."""

    def __init__(self, pieces: Iterable[object], close: Callable[[], object]) -> None:
        self._pieces = pieces
        self.close = close

    def __iter__(self) -> Iterator[object]:
        return iter(self._pieces)


async def two() -> int:
    await asyncio.sleep(0)
    return 2


def anyio_run() -> int:
    import anyio

    return anyio.run(two)


def uvloop_run() -> int:
    import uvloop

    return uvloop.run(two())


def to_sync() -> int:
    from asgiref.sync import async_to_sync

    return async_to_sync(two)()


def own_loop() -> int:
    """A loop that has a signal handler, whose end takes asyncio's wakeup descriptor away."""
    loop = asyncio.new_event_loop()
    if threading.current_thread() is threading.main_thread():
        loop.add_signal_handler(signal.SIGUSR1, print)
    try:
        return loop.run_until_complete(two())
    finally:
        loop.close()


def child() -> int:
    """A subprocess of an event loop's."""

    async def run() -> int:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(2)")
        return await process.wait()

    return asyncio.run(run())


LOOPS: dict[str, Callable[[], int]] = {
    "asyncio.run": lambda: asyncio.run(two()),
    "anyio.run": anyio_run,
    "uvloop.run": uvloop_run,
    "async_to_sync": to_sync,
    "own": own_loop,
    "child": child,
}


def loop(environ: Environ, start: Start) -> Iterable[bytes]:
    """Runs an event loop, in the call, in the iteration and in ``close``."""
    run = LOOPS[environ["QUERY_STRING"]]

    def pieces() -> Iterator[bytes]:
        yield b"%d" % run()

    start("200 OK", [*TEXT, ("X-Call", str(run()))])
    return Response(pieces(), run)  # type: ignore[return-value]


def policy(environ: Environ, start: Start) -> Iterable[bytes]:
    """The running loop and the current one, as a program without a loop has them."""
    import warnings

    try:
        running = str(asyncio.get_running_loop())
    except RuntimeError as error:
        running = str(error)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            own = asyncio.get_event_loop()
            result = str(own.run_until_complete(two()))
        except RuntimeError as error:
            result = str(error)
    start("200 OK", TEXT)
    return [f"{running}; {result}".encode()]


def ordered(environ: Environ, start: Start) -> Iterable[bytes]:
    """A stream of so many pieces that pauses; tells when its parts run and in which thread."""
    name, _, count = environ["QUERY_STRING"].partition(",")
    thread = threading.get_ident()
    mark.set(name)
    local.name = name

    def note(what: str) -> None:
        assert (mark.get(), local.name, threading.get_ident()) == (name, name, thread)
        events.append(f"{name} {what}")

    def pieces() -> Iterator[bytes]:
        for number in range(int(count)):
            time.sleep(0.001)
            note(f"piece {number}")
            yield b"%d\n" % number

    note("call")
    start("200 OK", TEXT)
    return Response(pieces(), lambda: note("close"))  # type: ignore[return-value]


def prompt(environ: Environ, start: Start) -> Iterable[bytes]:
    """Makes a piece when the client has created a file for the one before: it has seen that."""
    how, _, directory = environ["QUERY_STRING"].partition(",")

    def pieces() -> Iterator[bytes]:
        for number in range(5):
            yield b"%d\n" % number
            until = time.monotonic() + 10
            while not Path(directory, str(number)).exists():
                assert time.monotonic() < until, "the client has not seen it"
                time.sleep(0.001)

    write = start("200 OK", TEXT)
    if how == "write":
        for piece in pieces():
            write(piece)
        return []
    return pieces()


def lasts(environ: Environ, start: Start) -> Iterable[bytes]:
    """Gives a byte every 0.4 s, for 4.8 s."""

    def pieces() -> Iterator[bytes]:
        for _ in range(12):
            time.sleep(0.4)
            yield b"."

    write = start("200 OK", TEXT)
    if environ["QUERY_STRING"] == "write":
        for piece in pieces():
            write(piece)
        return []
    return pieces()


def fails(environ: Environ, start: Start) -> Iterable[bytes]:
    """Raises one of ERRORS: in the call, the iteration, ``close``, ``write``, or ``read``."""
    name, _, where = environ["QUERY_STRING"].partition(",")
    error = ERRORS[name]

    def fail() -> bytes:
        raise error

    if where == "call":
        fail()
    write = start("200 OK", TEXT)
    if where == "write":
        write(b"first")
        fail()
    if where == "file":
        first = iter([b"first"])
        return environ["wsgi.file_wrapper"](Only(lambda size: next(first, b"") or fail()))
    if where == "close":
        return Response([b"first"], fail)  # type: ignore[return-value]

    class Raising:
        given = where == "first"

        def __iter__(self) -> "Raising":
            return self

        def __next__(self) -> bytes:
            if self.given:
                return fail()
            self.given = True
            return b"first"

    return Raising()


def pieces_of(environ: Environ, start: Start) -> Iterable[bytes]:
    """Something in a response that is not bytes."""
    what = {"None": None, "str": "text", "int": 3}[environ["QUERY_STRING"].partition(",")[0]]
    start("200 OK", TEXT)
    if environ["QUERY_STRING"].endswith("list"):
        return [b"first", what]  # type: ignore[list-item]
    return (piece for piece in (b"first", what, b"last"))  # type: ignore[misc]


class Only:
    """A file object with nothing but ``read``."""

    def __init__(self, read: Callable[[int], Any]) -> None:
        self.read = read


class Noting(Only):
    """One that notes when it is closed."""

    def __init__(self, file: Any, kind: str) -> None:
        super().__init__(file.read)
        self._file = file
        self._kind = kind

    def close(self) -> None:
        events.append(f"closed {self._kind}")
        self._file.close()


def zip_member() -> Any:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("member", CONTENT)
    return zipfile.ZipFile(archive).open("member")


def gzipped() -> Any:
    path = Path(tempfile.mkstemp(suffix=".gz")[1])
    path.write_bytes(gzip.compress(CONTENT))
    try:
        return gzip.open(path)
    finally:
        path.unlink()


def piped() -> Any:
    command = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1024)"
    process = subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE)
    return process.stdout


def socket_file() -> Any:
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            theirs.sendall(CONTENT)

    threading.Thread(target=send).start()
    with ours:
        return ours.makefile("rb")


def regular() -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    file.write(CONTENT)
    file.seek(0)
    return file


def named() -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the server closes it
    file.write(CONTENT)
    file.seek(0)
    return file


def spooled() -> Any:
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - the server closes it
    file.write(CONTENT)
    file.seek(0)
    return file


def only_read() -> Any:
    return Only(io.BytesIO(CONTENT).read)


def generous() -> Any:
    """Gives more than it is asked for."""
    file = io.BytesIO(CONTENT)
    return Only(lambda size: file.read(2 * size))


FILES: dict[str, Callable[[], Any]] = {
    "regular": regular,
    "named": named,
    "spooled": spooled,
    "bytes": lambda: io.BytesIO(CONTENT),
    "zip": zip_member,
    "gzip": gzipped,
    "pipe": piped,
    "socket": socket_file,
    "read": only_read,
    "generous": generous,
}


def file(environ: Environ, start: Start) -> Iterable[bytes]:
    """One of FILES; of so many bytes from an offset if it says so (as for a range)."""
    kind, _, part = environ["QUERY_STRING"].partition(",")
    found = FILES[kind]()
    headers = [("Content-Type", "application/octet-stream")]
    if part:
        offset, length = map(int, part.split("-"))
        found.read(offset // 2 if kind == "generous" else offset)
        headers.append(("Content-Length", str(length)))
    if hasattr(found, "close"):
        found = Noting(found, kind)
    start("200 OK", headers)
    return environ["wsgi.file_wrapper"](found, 8192)  # type: ignore[no-any-return]


def text(environ: Environ, start: Start) -> Iterable[bytes]:
    """A file that was opened as text by mistake."""
    start("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](open(__file__))  # type: ignore[no-any-return]


def alarm(environ: Environ, start: Start) -> Iterable[bytes]:
    """A time limit by SIGALRM, as programs of one thread set them."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError("late")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        time.sleep(5)
        answer = b"in time"
    except TimeoutError:
        answer = b"late"
    finally:
        signal.signal(signal.SIGALRM, before)
    start("200 OK", TEXT)
    return [answer]


def green(environ: Environ, start: Start) -> Iterable[bytes]:
    """Switches between greenlets, in the call and in the iteration."""
    from greenlet import getcurrent, greenlet

    parent = getcurrent()
    other = greenlet(lambda word: parent.switch(word * 2))

    def pieces() -> Iterator[bytes]:
        assert getcurrent() is parent
        yield b"greenlet"

    start("200 OK", [*TEXT, ("X-Green", other.switch("ab"))])
    return pieces()


def sleep(environ: Environ, start: Start) -> Iterable[bytes]:
    time.sleep(float(environ["QUERY_STRING"]))
    start("200 OK", TEXT)
    return [b"slept"]


def much(environ: Environ, start: Start) -> Iterable[bytes]:
    """So many MiB, in pieces of 100 KB; notes when it is closed."""
    left = int(environ["QUERY_STRING"]) << 20

    def pieces() -> Iterator[bytes]:
        for number, sent in enumerate(range(0, left, 100_000), 1):
            yield bytes([number % 251]) * min(100_000, left - sent)

    start("200 OK", TEXT)
    return Response(pieces(), lambda: events.append("closed much"))  # type: ignore[return-value]


def changes(environ: Environ, start: Start) -> Iterable[bytes]:
    environ["REMOTE_ADDR"] = "192.0.2.9"
    environ["REQUEST_METHOD"] = "CHANGED"
    start("200 OK", TEXT)
    return [b"changed"]


def told(environ: Environ, start: Start) -> Iterable[bytes]:
    """What happened so far."""
    start("200 OK", TEXT)
    return ["\n".join(events).encode()]


def pid(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [b"%d" % os.getpid()]


ROUTES: dict[str, Callable[[Environ, Start], Iterable[bytes]]] = {
    "/loop": loop,
    "/policy": policy,
    "/ordered": ordered,
    "/prompt": prompt,
    "/lasts": lasts,
    "/fails": fails,
    "/pieces": pieces_of,
    "/file": file,
    "/text": text,
    "/alarm": alarm,
    "/green": green,
    "/sleep": sleep,
    "/much": much,
    "/changes": changes,
    "/told": told,
    "/pid": pid,
}


def app(environ: Environ, start: Start) -> Iterable[bytes]:
    return ROUTES[environ["PATH_INFO"]](environ, start)
