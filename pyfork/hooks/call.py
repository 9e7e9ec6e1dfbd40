"""The call of one hook, in one place, so that each failure is reported alike."""

import logging
import signal
import sys
import time
import traceback
from typing import Any

from pyfork.config.config import Config
from pyfork.errors import HookError
from pyfork.log.formatter import with_detail

log = logging.getLogger("pyfork.error")

SLOW = 1.0  # seconds; in the arbiter nothing else happens meanwhile


def call(config: Config, name: str, *arguments: Any) -> Any:
    """Call the hook ``name``. Returns its result; None if there is no such hook.

    Raises:
        HookError: it raised an exception, or SystemExit.
    """
    function = getattr(config, name)
    if function is None:
        return None
    began = time.monotonic()
    try:
        returned = function(*arguments)
    except BaseException as error:  # a hook may raise anything, including SystemExit
        if isinstance(error, KeyboardInterrupt) and _from_terminal():
            raise
        raise HookError(f"hook {name} failed: {_summary(error)}", _trace(error)) from error
    if (took := time.monotonic() - began) > SLOW:
        log.warning("hook %s took %.1f s", name, took)
    return returned


def call_and_log(config: Config, name: str, *arguments: Any) -> None:
    """As `call`, where a failure can stop nothing any more: it is logged."""
    try:
        call(config, name, *arguments)
    except HookError as error:
        log.error("%s", with_detail(str(error), error.detail))


def warn_of_threads() -> None:
    """Warn that this process has threads, which a forked child does not get."""
    threading = sys.modules.get("threading")
    others = threading.active_count() - 1 if threading else 0
    if others:
        log.warning(
            "the configuration has started %d thread%s in the arbiter: workers are forked "
            "without, and a lock that one holds then is never released in them",
            others,
            "" if others == 1 else "s",
        )


def _from_terminal() -> bool:
    """Whether SIGINT raises KeyboardInterrupt: before pyfork installs its handlers."""
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _summary(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _trace(error: BaseException) -> str:
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    return "".join(traceback.format_list(frames)) + _summary(error)
