"""A Python configuration file: run, and its names read.

It is the operator's program, and runs in the arbiter, at start and at each reload: its functions
are called there. It is not the application's: what it imports of the application's own code is
forgotten before it runs again, or a reload would find the old code in memory. Names that are
settings of ours or of gunicorn's count; all others are the file's own. In a file of gunicorn's own,
which has "gunicorn" in its name, ours do not count: ``env`` or ``name`` is a variable there.
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

MODULE = "__config__"  # what the file is in sys.modules, as under gunicorn
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = {"site-packages", "dist-packages"}
SLOW = 1.0  # seconds in which the arbiter sees and does nothing else


def read(name: str, directory: str) -> FileSettings:
    """The settings of a Python file (``PATH``, ``file:PATH``) or module (``python:NAME``).

    Args:
        name: what ``--config`` says, and messages with it.
        directory: what a relative path starts at, and where modules are looked for first.

    Raises:
        ConfigError: it cannot be read or run, or something is refused. The modules that were
            there before are there again.
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
    """Raises ConfigError: the file has patched the arbiter, and so each worker."""
    if library := patched_by():
        raise ConfigError(
            f"{name}: it patches Python with {library}, and no worker class here runs greenlets: "
            "leave that out and use -k thread; restart pyfork if this is a reload, since its "
            "process is patched"
        )


def _run(name: str, directory: str) -> dict[str, Any]:
    """What it defines. Raises ConfigError."""
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
    except BaseException as error:  # whatever the file may raise, sys.exit() included
        raise ConfigError(f"{name}: {_where(error)}", _trace(error)) from error


def _code(path: str, name: str) -> CodeType:
    try:
        return compile(Path(path).read_bytes(), path, "exec")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None


def _forget_project() -> None:
    """Forget what is not installed: the configuration's own modules, and the application's.

    Those that are installed stay; many cannot be imported twice. Workers are forked from here,
    and would take over what this process has imported.
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
    """The part of the traceback that is not ours."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_ours(frame)]
    if len(own) < 2:
        return ""
    return "".join(traceback.format_list(own)) + f"{type(error).__name__}: {error}"


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return frame.filename in (__file__, importlib.__file__) or "<frozen" in frame.filename


# What its names say.


def _classify(name: str, found: Mapping[str, Any]) -> FileSettings:
    """Settings by our names, and by gunicorn's; hints for what looks like a misspelt one."""
    from pyfork.config.compat.gunicorn import GUNICORN
    from pyfork.config.compat.rules import translate

    given: dict[str, RawValue] = {}
    theirs: list[tuple[str, RawValue]] = []
    gunicorns = "gunicorn" in Path(name).name
    hints: list[str] = []
    for key, raw in found.items():
        each = RawValue(raw, f"{name}: {key}")
        if key in GUNICORN:  # ours by the same name mean the same
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
    for key, each in done.given.items():
        if key in given:
            raise ConfigError(f"{each.origin}: says the same as {given[key].origin}")
        given[key] = each
    return FileSettings(given, (*done.notes, *hints))


def _hints(each: RawValue, key: str, known: set[str]) -> Iterator[str]:
    near = suggestion(key, known, cutoff=0.88)
    if near:
        yield f"{each.origin}: no setting has this name{near}"
