"""The error of an application that does not load, as data: for a page, and for programs."""

import hashlib
import linecache
from collections.abc import Iterator
from itertools import islice
from types import TracebackType

from pyfork.dev.errors.editor import link as editor_link
from pyfork.dev.errors.request_info import RequestInfo
from pyfork.dev.errors.variables import variables
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
    columns: tuple[int, int] = (0, 0)  # of the expression in its line; equal: not known
    link: str = ""  # opens the line in an editor
    variables: tuple[tuple[str, str], ...] = ()  # local ones, of a request


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
    request: RequestInfo | None = None  # which failed; None: the application does not load

    @classmethod
    def of(cls, app: str, error: BootError, editor: str = "") -> "ErrorReport":
        """Return a report on ``error`` and the exceptions that led to it.

        ``editor``: the URL for links to an editor; see `pyfork.dev.errors.editor`.
        """
        said = broken(error)
        chain = tuple(_chain(error.__cause__, editor)) if said.detail else ()
        return cls(app, said.reason, chain, said.detail)

    @classmethod
    def of_request(
        cls, error: BaseException, request: RequestInfo, editor: str = ""
    ) -> "ErrorReport":
        """Return a report on ``error``, which ``request`` led to."""
        return cls(
            f"{request.method} {request.path}",
            _clipped(tracebacks.one_line(error)),
            tuple(_chain(error, editor, with_variables=True)),
            _clipped(tracebacks.app_traceback(error)),
            request,
        )

    @property
    def id(self) -> str:
        """The same for the same fault, in every process."""
        return hashlib.sha256(f"{self.reason}\n{self.traceback}".encode()).hexdigest()[:16]


def broken(error: BootError) -> ErrorPageShown:
    """The message to the arbiter."""
    return ErrorPageShown(_clipped(str(error)), _clipped(error.detail))


def _clipped(text: str) -> str:
    """Its beginning and its end."""
    half = MOST_TEXT // 2
    return text if len(text) <= MOST_TEXT else f"{text[:half]}\n[...]\n{text[-half:]}"


def _chain(
    error: BaseException | None, editor: str, *, with_variables: bool = False
) -> Iterator[ErrorInfo]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error).__qualname__
        frames = tuple(_frames(error, editor, with_variables=with_variables))
        yield ErrorInfo(kind, _message(error), frames)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _message(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg or ""
    try:
        return _clipped(str(error))
    except Exception:  # noqa: BLE001 - the application's own __str__, and it is broken already
        return ""


def _frames(error: BaseException, editor: str, *, with_variables: bool) -> Iterator[Frame]:
    """The last call first."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        column = (error.offset or 1) - 1
        yield _frame(error.filename, error.lineno, "", (column, column), editor, ())
    steps = list(_steps(error.__traceback__))
    own = [each for each in reversed(steps) if tracebacks.is_own(each.tb_frame.f_code.co_filename)]
    for step in own[:MOST_FRAMES]:
        code = step.tb_frame.f_code
        local = variables(step.tb_frame) if with_variables else ()
        place = _columns(step)
        yield _frame(code.co_filename, step.tb_lineno, code.co_qualname, place, editor, local)


def _steps(step: TracebackType | None) -> Iterator[TracebackType]:
    while step is not None:
        yield step
        step = step.tb_next


def _columns(step: TracebackType) -> tuple[int, int]:
    """Where the expression that failed begins and ends in its line, in characters."""
    position = next(islice(step.tb_frame.f_code.co_positions(), step.tb_lasti // 2, None), None)
    if position is None or None in position:
        return 0, 0
    first, last, begin, end = position
    line = linecache.getline(step.tb_frame.f_code.co_filename, first or 0).rstrip("\n").encode()
    end = end if first == last else len(line)
    return tuple(len(line[:at].decode("utf-8", "replace")) for at in (begin, end))  # type: ignore[return-value]


def _frame(
    path: str,
    line: int,
    function: str,
    columns: tuple[int, int],
    editor: str,
    local: tuple[tuple[str, str], ...],
) -> Frame:
    linecache.checkcache(path)
    lines = linecache.getlines(path)
    first, last = max(1, line - AROUND), min(len(lines), line + AROUND)
    source = tuple(
        (number, lines[number - 1].rstrip("\n")[:MOST_LINE]) for number in range(first, last + 1)
    )
    link = editor_link(editor, path, line, columns[0] + 1)
    return Frame(tracebacks.shown(path), line, function, source, columns, link, local)
