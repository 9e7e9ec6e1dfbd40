"""Whose fault it was: an exception reduced to the application's own part of it."""

import importlib
import os
import traceback
from collections.abc import Iterable

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_IMPORTLIB = os.path.dirname(os.path.abspath(importlib.__file__)) + os.sep


def one_line(error: BaseException) -> str:
    """Type and message in one line, as at the end of a traceback."""
    text = " ".join(str(error).split())
    name = type(error).__qualname__
    return f"{name}: {text}" if text else name


def has_app_frames(error: BaseException) -> bool:
    """Some code of the application took part."""
    return any(
        not is_machinery(frame.f_code.co_filename)
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def app_traceback(error: BaseException, *, also: str = "") -> str:
    """The traceback without the frames of pyfork and the import machinery; no line end.

    ``also`` is one more directory whose frames are left out.
    """
    _spare_hints(error)
    report = traceback.TracebackException.from_exception(error)
    _strip(report, error, also, set())
    return "".join(report.format()).rstrip("\n")


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
    """What a thing is, for a message: "a module", "None", "an int"."""
    if value is None:
        return "None"
    name = type(value).__qualname__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _strip(
    report: traceback.TracebackException, error: BaseException, also: str, seen: set[int]
) -> None:
    """Drop machinery frames here, and in the exceptions that led to this one."""
    if id(error) in seen:
        return
    seen.add(id(error))
    walked = zip(report.stack, traceback.walk_tb(error.__traceback__), strict=False)
    kept = [
        entry for entry, (frame, _) in walked if not is_machinery(frame.f_code.co_filename, also)
    ]
    report.stack = traceback.StackSummary.from_list(kept)
    if report.__cause__ is not None and error.__cause__ is not None:
        _strip(report.__cause__, error.__cause__, also, seen)
    if report.__context__ is not None and error.__context__ is not None:
        _strip(report.__context__, error.__context__, also, seen)


def is_machinery(path: str, also: str = "") -> bool:
    """Whether the code of ``path`` is pyfork's, or imports modules."""
    machinery = (_HERE, _IMPORTLIB, "<frozen importlib", *([also] if also else ()))
    return path.startswith(machinery)
