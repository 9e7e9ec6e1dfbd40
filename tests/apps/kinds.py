"""Every way in which a WSGI application may answer, by path; each checked by wsgiref.validate.

`closed` counts the iterables that were closed, and GET /closed tells.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]

closed: list[str] = []
TEXT = [("Content-Type", "text/plain")]
BIG = 8 * 1024 * 1024


class Closing:
    """An iterable that tells when it is closed."""

    def __init__(self, name: str, pieces: Iterable[bytes]) -> None:
        self.name = name
        self._pieces = iter(pieces)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        closed.append(self.name)


def whole(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 Fine", TEXT)
    return [b"one ", b"two"]


def generator(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return Closing("generator", (b"%d " % number for number in range(5)))


def late_start(environ: Environ, start: Start) -> Iterable[bytes]:
    """start_response is called at the first next()."""

    def pieces() -> Iterator[bytes]:
        start("200 OK", TEXT)
        yield b""
        yield b"late"

    return Closing("late", pieces())


def written(environ: Environ, start: Start) -> Iterable[bytes]:
    write = start("200 OK", TEXT)
    write(b"written ")
    write(b"and ")
    return [b"returned"]


def nothing(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return Closing("nothing", [])


def no_content(environ: Environ, start: Start) -> Iterable[bytes]:
    start("204 No Content", [])
    return []


def second_thought(environ: Environ, start: Start) -> Iterable[bytes]:
    """start_response again, with exc_info, before anything was sent."""
    import sys

    start("200 OK", TEXT)
    try:
        raise ValueError("a second thought")
    except ValueError:
        start("500 Sorry", TEXT, sys.exc_info())
    return [b"sorry"]


def too_late(environ: Environ, start: Start) -> Iterable[bytes]:
    """The same when it is too late."""
    import sys

    write = start("200 OK", TEXT)
    write(b"already on its way")
    try:
        raise ValueError("it is too late")
    except ValueError:
        start("500 Sorry", TEXT, sys.exc_info())
    return [b"never"]


def breaks(environ: Environ, start: Start) -> Iterable[bytes]:
    """Fails in the middle."""

    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise RuntimeError("broke in the middle")

    start("200 OK", TEXT)
    return Closing("breaks", pieces())


def short(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "10")])
    return [b"short"]


def long(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "2")])
    return Closing("long", [b"too ", b"long"])


def split_header(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("X-Evil", "a\r\nSet-Cookie: b")])
    return [b"never"]


def unstarted(environ: Environ, start: Start) -> Iterable[bytes]:
    return [b"never"]


def leaves(environ: Environ, start: Start) -> Iterable[bytes]:
    raise SystemExit("an application should not")


def file(environ: Environ, start: Start) -> Iterable[bytes]:
    """A file of BIG bytes, from an offset of 3, by wsgi.file_wrapper."""
    handle = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    handle.write(b"abc" + os.urandom(16) * (BIG // 16))
    handle.seek(3)
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](handle)  # type: ignore[no-any-return]


def echo(environ: Environ, start: Start) -> Iterable[bytes]:
    """The body, read in every way that PEP 3333 names."""
    stream = environ["wsgi.input"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    parts = [stream.readline(), stream.read(5), *stream.readlines(1), *stream]
    body = b"".join(parts)
    assert len(body) == length
    start("200 OK", TEXT)
    return [body]


def show(environ: Environ, start: Start) -> Iterable[bytes]:
    """The environ, a line a key."""
    start("200 OK", TEXT)
    shown = (f"{key}={value}\n" for key, value in sorted(environ.items()))
    return ["".join(shown).encode("latin-1", "replace")]


def tell_closed(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [" ".join(closed).encode()]


def endless(environ: Environ, start: Start) -> Iterable[bytes]:
    """Streams until the client goes."""

    def pieces() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    start("200 OK", TEXT)
    return Closing("endless", pieces())


def mebibyte(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return Closing("mebibyte", (b"x" * 65536 for _ in range(16)))


def sleeps(environ: Environ, start: Start) -> Iterable[bytes]:
    time.sleep(float(environ["QUERY_STRING"]))
    start("200 OK", TEXT)
    return [b"slept"]


ROUTES: dict[str, Callable[[Environ, Start], Iterable[bytes]]] = {
    "/whole": whole,
    "/generator": generator,
    "/late-start": late_start,
    "/written": written,
    "/nothing": nothing,
    "/no-content": no_content,
    "/second-thought": second_thought,
    "/too-late": too_late,
    "/breaks": breaks,
    "/short": short,
    "/long": long,
    "/split-header": split_header,
    "/unstarted": unstarted,
    "/leaves": leaves,
    "/file": file,
    "/echo": echo,
    "/show": show,
    "/closed": tell_closed,
    "/endless": endless,
    "/mebibyte": mebibyte,
    "/sleeps": sleeps,
}

# Those that break the contract on purpose would be stopped by the validator, not by the server.
_BROKEN = {"/split-header", "/unstarted", "/file", "/show", "/echo"}


def app(environ: Environ, start: Start) -> Iterable[bytes]:
    """Route, through the validator where it applies."""
    path = environ["PATH_INFO"]
    route = ROUTES[path]
    if path in _BROKEN:
        return route(environ, start)
    return validator(route)(environ, start)  # type: ignore[no-any-return, arg-type]
