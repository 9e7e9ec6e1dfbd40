"""End of a worker whose arbiter dies while nothing reads the channel.

An import of the application may take long, or for ever. The kernel sends SIGIO when something
happens on the channel; a handler, which Python runs between two instructions, checks it.
"""

import fcntl
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from pyfork.errors import ExitStatus


@contextmanager
def exit_when_closed(channel: int) -> Iterator[None]:
    """Within the block, end this process when the other side of ``channel`` is closed."""

    def look(*_: object) -> None:
        poll = select.poll()
        poll.register(channel, 0)
        if any(mask & select.POLLHUP for _, mask in poll.poll(0)):
            os._exit(ExitStatus.FAILED)

    flags = fcntl.fcntl(channel, fcntl.F_GETFL)
    before = signal.signal(signal.SIGIO, look)
    fcntl.fcntl(channel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(channel, fcntl.F_SETFL, flags | os.O_ASYNC)
    try:
        look()  # it may have closed before
        yield
    finally:
        fcntl.fcntl(channel, fcntl.F_SETFL, flags)
        signal.signal(signal.SIGIO, before)
