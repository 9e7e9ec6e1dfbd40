"""What an interpreter does at its end, for a process that leaves by `os._exit`.

A forked child cannot let Python end as usual: that would unwind the frames of its parent. So it
does the same steps in the same order (Py_FinalizeEx): threads are joined and executors finish, exit
functions run, files are flushed. Modules are not torn down.
"""

import atexit
import gc
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress


def finalize() -> None:
    """Do them. What one of them raises is told on stderr, as Python does, and ends no other."""
    for step in (_join_threads, _save_coverage, atexit._run_exitfuncs, _close_files):
        try:
            step()
        except BaseException as error:  # noqa: BLE001 the next one has a right to be done
            sys.excepthook(type(error), error, error.__traceback__)


def _join_threads() -> None:
    """Have executors finish what they have accepted, and wait for threads that are no daemons."""
    threading._shutdown()  # type: ignore[attr-defined]


def _save_coverage() -> None:
    """``coverage run`` saves when its own frames end, which those of a forked child never do."""
    module = sys.modules.get("coverage")
    if module is None:
        return
    running = module.Coverage.current()
    if running is not None:
        running.stop()
        running.save()


def _close_files() -> None:
    """Files that are still open are closed by Python when it clears their module.

    Text first, then what compresses, then what both write to. Files that were open before the
    process was forked are the parent's: `gc.freeze` hides them.
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
    """Open files with something to lose, but for the standard streams, which may wait for a reader.

    An object's own ``__class__`` may run code of its own, so its type is what counts.
    """
    standard = {id(stream) for stream in (sys.stdout, sys.stderr)}
    standard |= {id(getattr(stream, "buffer", None)) for stream in (sys.stdout, sys.stderr)}
    for each in gc.get_objects():
        kind = type(each)
        if not issubclass(kind, io.TextIOWrapper | io.BufferedIOBase) or kind is io.BytesIO:
            continue
        if id(each) in standard:
            continue
        with suppress(OSError, ValueError, AttributeError):
            if not each.closed and each.writable():
                yield each
