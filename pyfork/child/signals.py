"""Signals that are for the arbiter alone, and that a terminal or a manager sends to the group."""

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
    """Hear nothing of them: the arbiter decides, and tells by the channel.

    A handler that does nothing, unlike SIG_IGN, is not inherited by the application's children.
    """
    for number in _FOR_THE_ARBITER:
        signal.signal(number, lambda *_: None)


@contextmanager
def blocked() -> Iterator[None]:
    """What comes within the block is handled after it, by the handlers of then."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
