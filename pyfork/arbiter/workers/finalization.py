"""The finalization of an interpreter, for a process that exits by `os._exit`.

A forked child cannot return from main: that would unwind the frames of its parent. So this module
repeats the steps of Py_FinalizeEx in their order: join threads, run exit functions, flush files.
Modules are not cleared.
"""

import atexit
import gc
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress


def finalize() -> None:
    """Run all steps. An exception of one is written to stderr, as Python does."""
    for step in (_join_threads, _save_coverage, atexit._run_exitfuncs, _close_files):
        try:
            step()
        except BaseException as error:  # noqa: BLE001 the next step runs all the same
            sys.excepthook(type(error), error, error.__traceback__)


def _join_threads() -> None:
    """Let executors finish their work, and wait for threads that are no daemons."""
    threading._shutdown()  # type: ignore[attr-defined]


def _save_coverage() -> None:
    """Save coverage data: ``coverage run`` does so when its frames end, which no child reaches."""
    module = sys.modules.get("coverage")
    if module is None:
        return
    running = module.Coverage.current()
    if running is not None:
        running.stop()
        running.save()


def _close_files() -> None:
    """Flush and close open files, as Python does when it clears modules.

    Text files first, then compressed ones, then the files that both write to. Files that were open
    before the fork belong to the parent: `gc.freeze` hides them.
    """
    files = list(_writable())
    for file in files:
        if isinstance(file, io.TextIOWrapper):
            _flush(file)
    for file in files:
        if not isinstance(file, io.TextIOWrapper) and type(file).__module__ != "_io":
            with suppress(OSError, ValueError):
                file.close()
    for file in files:
        _flush(file)


def _flush(file: io.IOBase) -> None:
    with suppress(OSError, ValueError):
        file.flush()


def _writable() -> Iterator[io.IOBase]:
    """Open files that may have buffered data, without the standard streams, which may block.

    Uses type(), since an object's ``__class__`` may run code of the application.
    """
    standard = {id(stream) for stream in (sys.stdout, sys.stderr)}
    standard |= {id(getattr(stream, "buffer", None)) for stream in (sys.stdout, sys.stderr)}
    for tracked in gc.get_objects():
        kind = type(tracked)
        if not issubclass(kind, io.TextIOWrapper | io.BufferedIOBase) or kind is io.BytesIO:
            continue
        if id(tracked) in standard:
            continue
        with suppress(OSError, ValueError, AttributeError):
            if not tracked.closed and tracked.writable():
                yield tracked
