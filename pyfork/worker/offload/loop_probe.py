"""Whether application code blocks an event loop in a step that nothing marks.

pyfork runs the first step of a request's task itself, and marks it (`ApplicationSection`). The loop
runs later steps. So the helper thread samples what the loop's thread does in the kernel. A loop
that is free waits in epoll. One that is found outside twice, ``--busy-after`` apart, without an
answer in between, is blocked. The worker's row then says ``HELD``, and no worker defers to it.

Rules: only the helper thread calls `check`; it reads the engine's counts and no connection.
"""

import os
import threading

from pyfork.ipc.scoreboard import BEGUN, HELD, REQUESTS

# Numbers of epoll_wait, epoll_pwait and epoll_pwait2.
_EPOLL = {
    "x86_64": frozenset((b"232", b"281", b"441")),
    "aarch64": frozenset((b"22", b"441")),
}
_QUIET = 0.05  # seconds between two samples where only streams are open
_QUIET_SAMPLES = 100  # after which only streams seem to be open


class LoopProbe:
    """Samples the thread that makes it."""

    def __init__(self, cells: "memoryview[int]", *, busy_after: float) -> None:
        """``cells`` are of the worker's row. Raises OSError where the system does not tell."""
        waits = _EPOLL.get(os.uname().machine)
        if waits is None:
            raise OSError("the numbers of system calls are not known")
        self._waits = waits
        self._state = os.open(
            f"/proc/self/task/{threading.get_native_id()}/syscall", os.O_RDONLY | os.O_CLOEXEC
        )
        self._cells = cells
        self._busy_after = busy_after
        self._outside = False  # the loop was outside epoll at the last sample
        self._quiet = 0  # samples in a row at which the loop waited, and nothing had ended

    def check(self, *, progress: bool) -> float | None:
        """Take a sample, and publish what it means.

        ``progress``: requests have ended since the last one. Returns the seconds until the next
        sample; None if no request runs.
        """
        cells = self._cells
        if cells[BEGUN] <= cells[REQUESTS]:
            self._free()
            return None
        if progress or self._is_waiting():
            self._free()
            self._quiet = 0 if progress else self._quiet + 1
        else:
            self._quiet = 0
            if self._outside:
                cells[HELD] = 1
            self._outside = True
        return self._busy_after if self._quiet < _QUIET_SAMPLES else _QUIET

    def _free(self) -> None:
        if self._outside:
            self._outside = False
            self._cells[HELD] = 0

    def _is_waiting(self) -> bool:
        """Whether the loop waits for events."""
        return os.pread(self._state, 16, 0).partition(b" ")[0] in self._waits
