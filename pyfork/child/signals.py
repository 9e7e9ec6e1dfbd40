"""Signals for the arbiter alone, which a terminal or a manager sends to the whole group."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_FOR_THE_ARBITER = (
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGWINCH,
)


def ignore_arbiter_signals() -> None:
    """Ignore them: the arbiter sends messages instead.

    A handler is used because SIG_IGN would be inherited by programs that the application executes.
    """
    for number in _FOR_THE_ARBITER:
        signal.signal(number, lambda *_: None)


@contextmanager
def blocked() -> Iterator[None]:
    """Block all signals; those that arrive are handled after the block, by the handlers of
    that time."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
