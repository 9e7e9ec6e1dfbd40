"""Programs that a script started and that outlive its killed worker.

Linux makes them children of the arbiter, which is a subreaper. A process in its own session is a
daemon and is left alone.
"""

import logging
import os
import sys
from contextlib import suppress

log = logging.getLogger("pyfork.error")

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_TRACKER = b"multiprocessing.resource_tracker"  # ends after the others, by itself
_SLOT = "PYFORK_WORKER"  # in the environment of every program that a worker executes


def become_subreaper() -> None:
    """Make this process the parent of orphaned descendants. Linux only."""
    if sys.platform == "linux":
        import ctypes  # rarely needed: only scripts start programs

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(slot: int) -> None:
    """Kill the orphans that the last worker of ``slot`` left."""
    # here every orphan inherits the variable from us
    if sys.platform != "linux" or _SLOT in os.environ:
        return
    for pid in _children():
        if _is_of(pid, slot):
            _kill(pid, slot)


def _children() -> list[int]:
    """Return the children of this process, which has one thread."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:  # the kernel lacks that file
        import psutil

        return [each.pid for each in psutil.Process().children()]


def _is_of(pid: int, slot: int) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            ends_by_itself = _TRACKER in file.read()
        mine = f"{_SLOT}={slot}".encode() in variables and os.getsid(pid) == os.getsid(0)
        return mine and not ends_by_itself
    except OSError:  # it has ended, or belongs to another user
        return False


def _kill(pid: int, slot: int) -> None:
    """Kill ``pid`` and its descendants."""
    import psutil

    with suppress(psutil.Error):
        orphan = psutil.Process(pid)
        for process in (*orphan.children(recursive=True), orphan):
            with suppress(psutil.Error):
                text = f"process {process.pid} ({process.name()})"
                process.kill()
                log.warning("worker %d is gone: %s, which it had started, was killed", slot, text)
