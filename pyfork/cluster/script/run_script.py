"""Run a script as python does: as ``__main__``, with its own argv and path."""

import builtins
import importlib
import os
import runpy
import sys
import types
from collections.abc import Sequence

MODULE = "-m "
"""The prefix of a module name where a script path may stand."""


def locate(name: str) -> str:
    """Return the absolute path of a script, before the directory changes."""
    return name if name.startswith(MODULE) else os.path.abspath(name)


def prepare(name: str, argv: Sequence[str]) -> None:
    """Set ``sys`` up for the script ``name``."""
    is_module = name.startswith(MODULE)
    shown = name.removeprefix(MODULE)
    sys.argv[:] = [shown, *argv]
    # Reloaders restart the script by this list, which must not name pyfork.
    sys.orig_argv[:] = [sys.executable, *(("-m",) if is_module else ()), shown, *argv]
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd() if is_module else os.path.dirname(os.path.realpath(name))
    sys.modules["__main__"] = types.ModuleType("__main__")


def run(name: str) -> None:
    """Run the script in this thread to its end. Exceptions are raised here."""
    importlib.invalidate_caches()  # a reload must find new files
    if name.startswith(MODULE):
        runpy.run_module(name.removeprefix(MODULE), run_name="__main__", alter_sys=True)
    elif os.path.isfile(name) and not _is_archive(name):
        _run_file(name)
    else:
        runpy.run_path(name, run_name="__main__")


def imports(thread: int) -> bool:
    """Whether that thread is inside an import, and so near the beginning of its script."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _run_file(path: str) -> None:
    """Run a file. Unlike runpy, keep the module: threads may outlive the last line."""
    with open(path, "rb") as file:
        source = file.read()
    main = sys.modules["__main__"]
    main.__dict__.update(__file__=path, __builtins__=builtins, __cached__=None)
    exec(compile(source, path, "exec"), main.__dict__)


def _is_archive(path: str) -> bool:
    from zipimport import ZipImportError, zipimporter

    try:
        zipimporter(path)
    except ZipImportError:
        return False
    return True
