"""A Python configuration file: its execution, and the settings in its names.

The file is a program of the operator. It runs in the arbiter, at start and at each reload, and its
functions are called there. Modules of the application that it imports are dropped before it runs
again; otherwise a reload would see the old code. Names of pyfork's and gunicorn's settings count;
all others are the file's own. In a file of gunicorn, which has "gunicorn" in its name, pyfork's
names do not count: ``env`` or ``name`` is a variable there.
"""

import importlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pyfork.config.config import SETTINGS
from pyfork.config.greenlets import patched_by
from pyfork.config.sources.raw_value import FileSettings, RawValue, suggestion
from pyfork.config.types import octal
from pyfork.errors import ConfigError

log = logging.getLogger("pyfork.error")

MODULE = "__config__"  # its name in sys.modules, as under gunicorn
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = {"site-packages", "dist-packages"}
SLOW = 1.0  # seconds in which the arbiter does nothing else


def read(name: str, directory: str) -> FileSettings:
    """Return the settings of a Python file (``PATH``, ``file:PATH``) or module (``python:NAME``).

    Args:
        name: the value of ``--config``, also for messages.
        directory: the base of a relative path, and the first directory for modules.

    Raises:
        ConfigError: it cannot be read or run, or something is refused. `sys.modules` is restored.
    """
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    before = dict(sys.modules)
    began = time.monotonic()
    try:
        found = _classify(name, _run(name, directory))
        _refuse_greenlets(name)
    except ConfigError:
        sys.modules.clear()
        sys.modules.update(before)
        raise
    if (took := time.monotonic() - began) > SLOW:
        log.warning("%s took %.1f s to run, in which the arbiter did nothing else", name, took)
    return found


def _refuse_greenlets(name: str) -> None:
    """Raise ConfigError if the file has patched the arbiter, and so each worker."""
    if library := patched_by():
        raise ConfigError(
            f"{name}: it patches Python with {library}, and no worker class here runs greenlets: "
            "leave that out and use -k thread; restart pyfork if this is a reload, since its "
            "process is patched"
        )


def _run(name: str, directory: str) -> dict[str, Any]:
    """Run it. Returns its names. Raises ConfigError."""
    wanted = name.removeprefix("python:") if name.startswith("python:") else ""
    path = os.path.join(directory, name.removeprefix("file:"))
    _forget_project()
    sys.modules.pop(wanted, None)
    importlib.invalidate_caches()
    try:
        if wanted:
            return vars(importlib.import_module(wanted))
        module = ModuleType(MODULE)
        module.__file__ = path
        sys.modules[MODULE] = module
        exec(_code(path, name), vars(module))
        return vars(module)
    except (ConfigError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the file may raise anything, SystemExit included
        raise ConfigError(f"{name}: {_where(error)}", _trace(error)) from error


def _code(path: str, name: str) -> CodeType:
    try:
        return compile(Path(path).read_bytes(), path, "exec")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None


def _forget_project() -> None:
    """Drop modules that are not installed: those of the configuration and of the application.

    Installed ones stay, since many cannot be imported twice. Workers are forked from this process
    and would inherit the old code.
    """
    kept = (str(Path(__file__).parents[2]), _LIBRARY)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or name == "__main__" or file.startswith(kept):
            continue
        if not _INSTALLED & set(Path(file).parts):
            del sys.modules[name]


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: syntax error: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_ours(frame)]
    place = f"line {own[0].lineno}: " if own else ""
    return f"{place}{type(error).__name__}: {error}"


def _trace(error: BaseException) -> str:
    """Return the part of the traceback outside of pyfork."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_ours(frame)]
    if len(own) < 2:
        return ""
    return "".join(traceback.format_list(own)) + f"{type(error).__name__}: {error}"


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return frame.filename in (__file__, importlib.__file__) or "<frozen" in frame.filename


# Its names.


def _classify(name: str, found: Mapping[str, Any]) -> FileSettings:
    """Return settings by pyfork's and gunicorn's names, with hints for probable misspellings."""
    from pyfork.config.compat.gunicorn import GUNICORN
    from pyfork.config.compat.rules import translate

    given: dict[str, RawValue] = {}
    theirs: list[tuple[str, RawValue]] = []
    gunicorns = "gunicorn" in Path(name).name
    hints: list[str] = []
    for key, raw in found.items():
        each = RawValue(raw, f"{name}: {key}")
        if key in GUNICORN:  # pyfork's setting of that name means the same
            theirs.append((key, each))
        elif key in SETTINGS and gunicorns:
            if "_" in key:
                hints.append(
                    f"{each.origin}: is pyfork's; it counts in a file such as pyfork.conf.py"
                )
        elif key in SETTINGS and raw is not None:
            given[key] = RawValue(octal(raw), each.origin) if key == "unix_mode" else each
        elif not key.startswith("_") and isinstance(raw, str | int | list | tuple):
            hints += _hints(each, key, {*SETTINGS, *GUNICORN})
    done = translate(GUNICORN, theirs)
    for key, value in done.given.items():
        if key in given:
            raise ConfigError(f"{value.origin}: says the same as {given[key].origin}")
        given[key] = value
    return FileSettings(given, (*done.notes, *hints))


def _hints(value: RawValue, key: str, known: set[str]) -> Iterator[str]:
    near = suggestion(key, known, cutoff=0.88)
    if near:
        yield f"{value.origin}: no setting has this name{near}"
