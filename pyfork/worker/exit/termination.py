"""SIGTERM in a worker: pyfork's handler, and the application's, if it installed one.

pyfork drains in any case, and mostly by a message instead of a signal. So the application's
handler is called when a drain begins, for whatever reason: once, in the main thread, before the
drain. Its exceptions, SystemExit included, end nothing.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

log = logging.getLogger("pyfork.error")

_TERM = signal.SIGTERM


def end_while_loading(number: int, frame: FrameType | None) -> None:
    """End the process at SIGTERM, before the worker has its loop.

    It is a function because an application's handler may call the previous one; once another
    handler is installed, it does nothing.
    """
    if signal.getsignal(number) is end_while_loading:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


class Termination:
    """The two handlers of SIGTERM.

    Args:
        loop: gets pyfork's handler; a handler that the application passes to its
            ``add_signal_handler`` is kept here.
        drain: called in the loop after a SIGTERM.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, drain: Callable[[], None]) -> None:
        self._loop = loop
        self._leave = drain
        self._called = False
        self._theirs = _called_with_signal(signal.getsignal(_TERM))
        self._add, self._remove = loop.add_signal_handler, loop.remove_signal_handler
        self._add(_TERM, self._on_sigterm)
        self._ours = signal.getsignal(_TERM)
        loop.add_signal_handler = self._add_application_handler  # type: ignore[method-assign, assignment]
        loop.remove_signal_handler = self._remove_application_handler  # type: ignore[method-assign, assignment]

    def pass_through(self, handler: Callable[[int, FrameType | None], None]) -> None:
        """Replace pyfork's handler by ``handler``, which passes the signal to the loop."""
        if self.is_ours():
            self._ours = handler
            signal.signal(_TERM, handler)

    def call_application_handler(self) -> None:
        """Call the application's handler, unless it was called before: a drain begins."""
        installed = signal.getsignal(_TERM)
        theirs = self._theirs if installed == self._ours else _called_with_signal(installed)
        if self._called or theirs is None:
            return
        self._called = True
        try:
            theirs()
        except (SystemExit, KeyboardInterrupt):
            log.debug("the application's handler of SIGTERM ends the program: it is ending")
        except BaseException:
            log.exception("the application's handler of SIGTERM failed")

    def release(self) -> None:
        """Restore the loop's own methods, before it is closed."""
        del self._loop.add_signal_handler, self._loop.remove_signal_handler

    def is_ours(self) -> bool:
        """Whether the application has installed no handler."""
        return signal.getsignal(_TERM) in (self._ours, ignore)

    def _on_sigterm(self) -> None:
        """Handle SIGTERM in the loop. Python has called a handler that replaced ours."""
        if signal.getsignal(_TERM) != self._ours:
            self._called = True
        self._leave()

    def _add_application_handler(
        self, number: int, callback: Callable[..., object], *args: Any
    ) -> None:
        if number == _TERM:
            self._theirs = partial(callback, *args)
        else:
            self._add(number, callback, *args)

    def _remove_application_handler(self, number: int) -> bool:
        if number != _TERM:
            return self._remove(number)
        had, self._theirs = self._theirs is not None, None
        return had


def ignore(number: int, frame: FrameType | None) -> None:
    """The handler of SIGTERM and SIGQUIT in a worker that is exiting."""


def _called_with_signal(handler: Any) -> Callable[[], object] | None:
    """Return a call of the application's ``handler``, if it is callable."""
    if not callable(handler) or handler in (end_while_loading, signal.SIG_DFL, signal.SIG_IGN):
        return None
    return lambda: handler(int(_TERM), sys._getframe())
