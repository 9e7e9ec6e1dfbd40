"""Between two arbiters of one process: from an exec in place until the new program has a loop.

The workers of before serve all the time and know of nothing, since their channels are open. If the
new program does not get as far as its loop (it did in the dry run, moments ago; but files may have
been exchanged since) it is executed again, with all that it was left as it was: whoever repairs
what is installed need do nothing else. Signals have been blocked since before the exec, and wait
for handlers. To be told to stop is the one thing that is done here: the workers drain, and this
process ends after them.

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

ENV_VAR = "PYFORK_UPGRADE"  # "exec:FD", then "exec:FD:TRIES"; the arbiter's loop takes it away

LONGEST = 10.0  # seconds between two tries

_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


def is_pending() -> bool:
    """Whether this process has workers of a program before it, and no loop yet."""
    return os.environ.get(ENV_VAR, "").startswith("exec:")


def run_until_started(command: Callable[[], int]) -> int:
    """The exit status of ``command``, whose loop has run; without one this does not return."""
    try:
        status = command()
        why = f"it ended with exit status {status}"
    except BaseException:  # whatever it is: the workers would lose their arbiter by it
        if not is_pending():
            raise
        why = traceback.format_exc().rstrip()
        status = 1
    if is_pending():
        _retry(why)
    return status


def _retry(why: str) -> NoReturn:
    """Wait, and try again."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    kind, fd, *counted = os.environ[ENV_VAR].split(":")
    tries = int(counted[0]) if counted else 0
    while True:
        _wait(min(0.5 * 2 ** min(tries, 9), LONGEST), why)
        tries += 1
        os.environ[ENV_VAR] = f"{kind}:{fd}:{tries}"
        try:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        except OSError as error:
            why = f"cannot execute {sys.executable}: {error.strerror}"


def _wait(pause: float, why: str) -> None:
    """For ``pause`` seconds, or to be told to stop."""
    state = "the previous workers keep serving, but are not replaced if they die"
    _stderr(f"the new program does not start: {why}\npyfork: {state}; next try in {pause:g} s")
    until = time.monotonic() + pause
    while time.monotonic() < until:
        if signal.sigpending() & _STOPS:
            _stop()
        _notify(f"WATCHDOG=1\nSTATUS=the new program does not start: {state}")
        time.sleep(0.1)  # sigtimedwait() is not everywhere


def _stop() -> NoReturn:
    """Close all: the workers see that there is no arbiter any more, drain, and leave."""
    _stderr("told to stop: the workers finish what they do")
    _notify("STOPPING=1")
    os.closerange(3, 1 << 20)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        os._exit(0)


def _notify(text: str) -> None:
    """sd_notify(3), where somebody listens: a restart now would be an outage."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end, contextlib.suppress(OSError):
        end.setblocking(False)
        end.sendto(text.encode(), f"\0{place[1:]}" if place[0] == "@" else place)


def _stderr(text: str) -> None:
    """No log is open yet. The workers must not lose this process to a stderr that nobody reads."""
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
