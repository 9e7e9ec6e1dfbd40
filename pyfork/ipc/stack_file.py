"""The file into which a worker writes its stacks at a signal, also while it is blocked.

The arbiter makes it before the fork and reads it. faulthandler writes it from C, in the handler of
the signal, without the interpreter lock.
"""

import faulthandler
import os
import signal
from contextlib import suppress
from fcntl import F_GETFL, F_SETFL, fcntl

from pyfork.system.memfd import anonymous_file

SIGNAL = signal.SIGURG  # a process that does not handle it ignores it
MAX_TEXT = 256 << 10  # bytes that are read


class StackFile:
    """One worker's. Each process has a copy of the descriptor, and all have one file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def make(cls) -> "StackFile":
        """Make an empty one. Raises OSError: the system has no descriptor to give."""
        with anonymous_file("pyfork-stacks") as file:
            fd = os.dup(file.fileno())
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | os.O_APPEND)
        return cls(fd)

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def close(self) -> None:
        """Close this copy; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def write_at_signal(self) -> None:
        """In the worker: write the stacks of all threads whenever `SIGNAL` comes."""
        with suppress(OSError, ValueError, RuntimeError):
            faulthandler.register(SIGNAL, self._fd)

    def clear(self) -> None:
        """In the arbiter: drop what is in it."""
        os.ftruncate(self._fd, 0)

    @property
    def size(self) -> int:
        """Bytes in it."""
        return os.fstat(self._fd).st_size

    def read(self) -> str:
        """In the arbiter: what is in it."""
        return os.pread(self._fd, MAX_TEXT, 0).decode(errors="backslashreplace")
