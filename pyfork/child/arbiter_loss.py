"""The arbiter's death while nobody reads the channel: an import of the application may take long,
or for ever, and a worker without an arbiter must not be left over.

The kernel sends SIGIO when something happens on the channel; what that was is looked at in the
handler, which Python runs between two instructions of the import.
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
    """Within the block this process ends as soon as the other side of ``channel`` is closed."""

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
        look()  # it may have happened already
        yield
    finally:
        fcntl.fcntl(channel, fcntl.F_SETFL, flags)
        signal.signal(signal.SIGIO, before)
