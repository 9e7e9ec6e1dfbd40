"""The modes of the terminal at stdin, which a process that is killed at a prompt leaves changed."""

import os
import signal
import termios
from contextlib import suppress
from typing import Any

_STDIN = 0


class TerminalModes:
    """Echo, line editing and the like, as they are when this is made. Without a terminal: nothing.

    Only a process group in the foreground touches them: else they are a shell's, which edits its
    next command line.
    """

    def __init__(self) -> None:
        self._saved = _modes()

    def restore(self) -> None:
        """Set them again, where they differ."""
        if self._saved is None or _modes() in (None, self._saved):
            return
        # A background process group would be stopped by SIGTTOU, if it became one just now.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        try:
            with suppress(termios.error):
                termios.tcsetattr(_STDIN, termios.TCSANOW, self._saved)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _modes() -> list[Any] | None:
    try:
        if os.tcgetpgrp(_STDIN) == os.getpgrp():
            return termios.tcgetattr(_STDIN)
    except (OSError, termios.error):  # no terminal, or none of this session
        pass
    return None
