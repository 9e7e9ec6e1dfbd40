"""Runs the new program after an exec in place, until its loop runs.

The previous workers keep serving meanwhile, since their channels stay open. If the new program does
not reach its loop, this module executes it again, with the same saved state, until it does. (The
dry run was successful a moment before, but files may have been replaced since.) An operator only
has to repair the installation. Signals are blocked since before the exec, and wait for the handlers
of the loop. Only a stop is handled here: the workers drain, and this process exits after them.

Rules: imports nothing of pyfork, which may be what fails.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

ENV_VAR = (
    "PYFORK_UPGRADE"  # "exec:FD", then "exec:FD:TRIES"; the arbiter removes it before its loop
)

MAX_RETRY_DELAY = 10.0  # seconds

_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


def is_pending() -> bool:
    """Whether this process has workers of the previous program, and no loop yet."""
    return os.environ.get(ENV_VAR, "").startswith("exec:")


def run_until_started(command: Callable[[], int]) -> int:
    """Run ``command``. Returns its exit status if its loop has run; otherwise does not return."""
    try:
        status = command()
        why = f"it ended with exit status {status}"
    except BaseException:  # any exception would take the arbiter from the workers
        if not is_pending():
            raise
        why = traceback.format_exc().rstrip()
        status = 1
    if is_pending():
        _retry(why)
    return status


def _retry(why: str) -> NoReturn:
    """Wait, and execute the program again."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    kind, fd, *counted = os.environ[ENV_VAR].split(":")
    tries = int(counted[0]) if counted else 0
    while True:
        _wait(min(0.5 * 2 ** min(tries, 9), MAX_RETRY_DELAY), why)
        tries += 1
        os.environ[ENV_VAR] = f"{kind}:{fd}:{tries}"
        try:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        except OSError as error:
            why = f"cannot execute {sys.executable}: {error.strerror}"


def _wait(pause: float, why: str) -> None:
    """Wait for ``pause`` seconds. Exits if a stop signal arrives."""
    state = "the previous workers keep serving, but are not replaced if they die"
    _stderr(f"the new program does not start: {why}\npyfork: {state}; next try in {pause:g} s")
    until = time.monotonic() + pause
    while time.monotonic() < until:
        if signal.sigpending() & _STOPS:
            _stop()
        _notify(f"WATCHDOG=1\nSTATUS=the new program does not start: {state}")
        time.sleep(0.1)  # macOS has no sigtimedwait()


def _stop() -> NoReturn:
    """Close all descriptors, so that the workers drain and exit. Exits after them."""
    _stderr("told to stop: the workers finish their requests")
    _notify("STOPPING=1")
    os.closerange(3, 1 << 20)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        os._exit(0)


def _notify(text: str) -> None:
    """Send an sd_notify(3) message: a restart by systemd would be an outage."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end, contextlib.suppress(OSError):
        end.setblocking(False)
        end.sendto(text.encode(), f"\0{place[1:]}" if place[0] == "@" else place)


def _stderr(text: str) -> None:
    """Write to stderr, since no log is open yet. Never blocks on a reader that is slow."""
    text = "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
    data = f"pyfork: {text}\n".encode()
    anew = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        try:
            fd = os.open("/proc/self/fd/2", anew)
        except OSError:  # a socket, another user's pipe, or not Linux
            poll = select.poll()
            poll.register(2, select.POLLOUT)
            if poll.poll(0):
                os.write(2, data[:512])
            return
        os.write(fd, data)
        os.close(fd)
