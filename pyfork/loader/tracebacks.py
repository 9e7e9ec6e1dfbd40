"""The application's own part of an exception."""

import importlib
import os
import sysconfig
import traceback
from collections.abc import Callable, Iterable
from functools import cache

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_IMPORTLIB = os.path.dirname(os.path.abspath(importlib.__file__)) + os.sep


def one_line(error: BaseException) -> str:
    """Return type and message in one line, as at the end of a traceback."""
    name = type(error).__qualname__
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - the application's own __str__ raised
        return name
    return f"{name}: {text}" if text else name


def place(error: BaseException) -> str:
    """``shop/prices.py:3``, where the application's own code raised ``error``; "" elsewhere."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{shown(error.filename)}:{error.lineno}"
    walked = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]
    for path, line in reversed(walked):
        if is_own(path):
            return f"{shown(path)}:{line}"
    return ""


def shown(path: str) -> str:
    """Return the path relative to the current directory, if it is below that."""
    return path.removeprefix(os.getcwd() + os.sep)


def has_app_frames(error: BaseException) -> bool:
    """Whether code of the application is in the traceback."""
    return any(
        not is_machinery(frame.f_code.co_filename)
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def app_traceback(error: BaseException, *, also: str = "") -> str:
    """Return the traceback without frames of pyfork and the import machinery; no line end.

    Frames in the directory ``also`` are left out, too.
    """
    _spare_hints(error)
    report = traceback.TracebackException.from_exception(error)
    _keep(report, error, lambda path: not is_machinery(path, also), set())
    return "".join(report.format()).rstrip("\n")


def own_traceback(error: BaseException) -> str:
    """The traceback with the application's own frames; others are counted. No line end.

    Where no frame is the application's, it is `app_traceback`.
    """
    frames = [f for f, _ in traceback.walk_tb(error.__traceback__)]
    own = sum(is_own(frame.f_code.co_filename) for frame in frames)
    if not own or own == len(frames):
        return app_traceback(error)
    _spare_hints(error)
    report = traceback.TracebackException.from_exception(error, compact=True)
    _keep(report, error, is_own, set())
    _drop_repeated(report)
    left = len(frames) - own
    note = f"({left} frame{'' if left == 1 else 's'} of libraries left out; -v shows all)"
    return "".join(report.format()).rstrip("\n") + f"\n{note}"


def _spare_hints(error: BaseException | None) -> None:
    """Leave no names of modules from which `traceback` would make hints.

    CPython 3.15 imports the parent of a missing submodule once more to make one, which raises for
    a second time what it raised for the first, where nobody expects it.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ImportError) and error.name and "." in error.name:
            error.name = None
        error = error.__cause__ or error.__context__


def nearest(name: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?" for the nearest of ``known``, or nothing."""
    import difflib

    found = difflib.get_close_matches(name, [one for one in known if not one.startswith("_")], 3)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def kind(value: object) -> str:
    """Describe a value for a message: "a module", "None", "an int"."""
    if value is None:
        return "None"
    name = type(value).__qualname__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _drop_repeated(report: traceback.TracebackException) -> None:
    """Drop what an exception was raised in the handling of, where that looks the same."""
    while (before := report.__context__) is not None:
        if list(before.format(chain=False)) == list(report.format(chain=False)):
            report.__context__ = before.__context__
        else:
            report = before


def _keep(
    report: traceback.TracebackException,
    error: BaseException,
    wanted: Callable[[str], bool],
    seen: set[int],
) -> None:
    """Drop the frames of other files here, and in the exceptions that led to this one."""
    if id(error) in seen:
        return
    seen.add(id(error))
    walked = zip(report.stack, traceback.walk_tb(error.__traceback__), strict=False)
    kept = [entry for entry, (frame, _) in walked if wanted(frame.f_code.co_filename)]
    report.stack = traceback.StackSummary.from_list(kept)
    if report.__cause__ is not None and error.__cause__ is not None:
        _keep(report.__cause__, error.__cause__, wanted, seen)
    if report.__context__ is not None and error.__context__ is not None:
        _keep(report.__context__, error.__context__, wanted, seen)


def is_machinery(path: str, also: str = "") -> bool:
    """Whether the code of ``path`` is pyfork's, or imports modules."""
    machinery = (_HERE, _IMPORTLIB, "<frozen importlib", *([also] if also else ()))
    return path.startswith(machinery)


def is_own(path: str) -> bool:
    """Whether the application's author wrote the code of ``path``: no library's, no machinery."""
    parts = path.split(os.sep)
    foreign = path.startswith("<") or "site-packages" in parts or "dist-packages" in parts
    return not (foreign or is_machinery(path) or path.startswith(_libraries()))


@cache
def _libraries() -> tuple[str, ...]:
    """The directories of Python's own modules, and of installed ones."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({os.path.join(sysconfig.get_path(name), "") for name in names})
