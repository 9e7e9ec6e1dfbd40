"""Programs that a script has started, and that are there when its worker has been killed.

Linux gives them to the arbiter then, as the nearest ancestor that asks for orphans. What has left
for a session of its own is a daemon, and is left alone.
"""

import logging
import os
import sys
from contextlib import suppress

log = logging.getLogger("pyfork.error")

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_TRACKER = b"multiprocessing.resource_tracker"  # its work begins when the others have ended
_SLOT = "PYFORK_WORKER"  # is in the environment of what a worker has executed


def ask_for_them() -> None:
    """From now on this process is the parent of its descendants' orphans. Linux only."""
    if sys.platform == "linux":
        import ctypes  # seldom needed: only scripts start programs

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(slot: int) -> None:
    """End those that the last worker of ``slot`` has left."""
    if sys.platform != "linux" or _SLOT in os.environ:  # or all of them would have it from us
        return
    for pid in _children():
        if _is_of(pid, slot):
            _kill(pid, slot)


def _children() -> list[int]:
    """Those of this process, which has one thread."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:  # a kernel without that file
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
    except OSError:  # it is gone, or another user's
        return False


def _kill(pid: int, slot: int) -> None:
    """With what it has started itself."""
    import psutil

    with suppress(psutil.Error):
        orphan = psutil.Process(pid)
        for each in (*orphan.children(recursive=True), orphan):
            with suppress(psutil.Error):
                who = f"process {each.pid} ({each.name()})"
                each.kill()
                log.warning("worker %d is gone: %s, which it had started, was killed", slot, who)
