"""What is wrong with an application that does not load, as data: for a page, and for programs."""

import hashlib
import linecache
import traceback
from collections.abc import Iterator

from pyfork.errors import BootError
from pyfork.ipc.messages import ErrorPageShown
from pyfork.loader import tracebacks
from pyfork.record import record

AROUND = 4  # lines of source shown before and after the one that counts
MOST_TEXT = 50_000  # characters of a message or traceback: an application may put anything in it
MOST_LINE = 500  # characters of a line of source
MOST_FRAMES = 20  # of one exception that are shown with their source; a recursion has thousands


@record
class Frame:
    """A place in the application's own code."""

    path: str  # from the current directory, if it lies there
    line: int
    function: str  # empty: the file itself, for what could not be compiled
    source: tuple[tuple[int, str], ...]  # numbered


@record
class ErrorInfo:
    """One exception of the chain."""

    kind: str
    message: str
    frames: tuple[Frame, ...]  # the application's own, the last call first


@record
class ErrorReport:
    """Why an application does not load."""

    app: str
    reason: str
    chain: tuple[ErrorInfo, ...]  # raised last first; empty if none of it is the application's
    traceback: str  # as Python prints it, without the frames of pyfork

    @classmethod
    def of(cls, app: str, error: BootError) -> "ErrorReport":
        """What ``error`` and the exceptions that led to it say."""
        said = broken(error)
        chain = tuple(_chain(error.__cause__)) if said.detail else ()
        return cls(app, said.reason, chain, said.detail)

    @property
    def id(self) -> str:
        """The same for the same fault, in every process."""
        return hashlib.sha256(f"{self.reason}\n{self.traceback}".encode()).hexdigest()[:16]


def broken(error: BootError) -> ErrorPageShown:
    """What the arbiter is told."""
    return ErrorPageShown(_clipped(str(error)), _clipped(error.detail))


def _clipped(text: str) -> str:
    """Its beginning and its end."""
    half = MOST_TEXT // 2
    return text if len(text) <= MOST_TEXT else f"{text[:half]}\n[...]\n{text[-half:]}"


def _chain(error: BaseException | None) -> Iterator[ErrorInfo]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error).__qualname__
        frames = tuple(_frames(error))
        yield ErrorInfo(kind, _message(error), frames)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _message(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg or ""
    try:
        return _clipped(str(error))
    except Exception:  # noqa: BLE001 - the application's own __str__, and it is broken already
        return ""


def _frames(error: BaseException) -> Iterator[Frame]:
    """The last call first."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        yield _frame(error.filename, error.lineno, "")
    walked = list(traceback.walk_tb(error.__traceback__))
    own = [(f, line) for f, line in reversed(walked) if tracebacks.is_own(f.f_code.co_filename)]
    for frame, line in own[:MOST_FRAMES]:
        code = frame.f_code
        yield _frame(code.co_filename, line, code.co_qualname)


def _frame(path: str, line: int, function: str) -> Frame:
    linecache.checkcache(path)
    lines = linecache.getlines(path)
    first, last = max(1, line - AROUND), min(len(lines), line + AROUND)
    source = tuple(
        (number, lines[number - 1].rstrip("\n")[:MOST_LINE]) for number in range(first, last + 1)
    )
    return Frame(tracebacks.shown(path), line, function, source)
