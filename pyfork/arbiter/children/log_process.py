"""The process that calls the operator's logging handlers for the arbiter.

A handler may block (on a syslog server that is down) or raise, and the arbiter has no thread for it
and must not wait. The process exits after the arbiter, when all records are handled or a second has
passed.
"""

import os
import select
import signal
import time
from collections.abc import Callable

from pyfork.arbiter.commands.signals import SIGNALS
from pyfork.arbiter.component import Component, Components
from pyfork.arbiter.workers import fork
from pyfork.clock import earliest
from pyfork.ipc import titles
from pyfork.ipc.poller import Poller
from pyfork.log import setup
from pyfork.log.deferred import REOPEN, Deferred
from pyfork.log.sink import Sink
from pyfork.record import entity

LAST_LIMIT = 1.0  # seconds for the last records
_MIN_LIFETIME = 1.0  # seconds from its start until it is replaced, at least
_RETRY = 0.1  # seconds until waiting log lines are written again
_POLL_MS = 50  # between two checks whether the arbiter is alive


@entity
class LogProcess(Component):
    """The log process of this arbiter, if the operator configures logging.

    Also writes log lines that wait because the reader of a log has stopped reading.
    """

    poller: Poller
    components: Components
    _deferred: Deferred | None = None  # the queue whose records it handles
    _forward: Sink | None = None
    _pid: int = 0
    _born: float = 0.0  # monotonic seconds
    _start_at: float | None = None  # there is no process, and there should be one
    _retry_at: float | None = None  # when waiting log lines are written again

    @property
    def deadline(self) -> float | None:
        """When to start the process, or to write what waits."""
        return earliest(self._start_at, self._retry_at)

    def tick(self, now: float) -> None:
        """Follow the configuration of logging, which a reload may have changed."""
        deferred = setup.current_identity().deferred
        if deferred is not self._deferred:
            self._detach()
            self._deferred = deferred
            self._start_at = None if deferred is None else now
        if self._start_at is not None and now >= self._start_at:
            self._start(now)
        self._retry_at = None if setup.flush() else now + _RETRY

    def fileno(self) -> int:
        """The fd that has an error once the process has exited."""
        return self._forward.fd if self._forward is not None else -1

    def close_in_child(self) -> None:
        """Close the pipe to the process."""
        if self._forward is not None:
            self._forward.close()

    def close(self) -> None:
        """The arbiter exits: wait until its last records are handled, up to a limit."""
        pid, until = self._pid, time.monotonic() + LAST_LIMIT
        if self._forward is not None:
            self._forward.flush(LAST_LIMIT)
        self._detach()
        while pid and time.monotonic() < until:
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    return
            except ChildProcessError:
                return
            time.sleep(0.005)

    def _start(self, now: float) -> None:
        assert self._deferred is not None
        self._start_at = None
        try:
            self._forward = self._fork(self._deferred, now)
        except OSError:  # no process or descriptor is available
            self._start_at = now + _MIN_LIFETIME
            return
        self._forward.wait_for_room(0.0)
        self._deferred.attach(self._forward)
        self.poller.watch(self, self._ended)

    def _fork(self, deferred: Deferred, now: float) -> Sink:
        """Start the process. Returns the sink to it. Raises OSError."""
        reader, writer = os.pipe()
        try:
            pid = fork.fork(
                lambda: _write(reader, deferred),
                self.components.close_in_child,
                lambda: os.close(writer),
            )
            self._pid, self._born = pid, now
            return Sink(f"/dev/fd/{writer}", stream=2, name="the log's process")
        finally:
            os.close(reader)
            os.close(writer)

    def _ended(self, mask: int) -> None:
        """The process has exited before the arbiter: start another one later."""
        self._detach()
        self._start_at = self._born + _MIN_LIFETIME

    def _detach(self) -> None:
        """Close the pipe: the process exits when it has handled its records."""
        if self._forward is not None:
            self.poller.unwatch(self)
            self._forward.close()
        if self._deferred is not None:
            self._deferred.forward = None
        self._forward, self._pid = None, 0


def _write(reader: int, deferred: Deferred) -> int:
    """Run the process: handle records until the arbiter has exited."""
    for meaning in SIGNALS:  # a signal to the group must not end it before the last records
        signal.signal(meaning.number, signal.SIG_IGN)
    titles.set_title(titles.log_title())
    with open(reader, encoding="ascii", closefd=False) as lines:
        for line in lines:
            if line.rstrip() == REOPEN:
                setup.reopen()
            elif _wait_until(lambda: not deferred.is_full, reader):
                deferred.receive(line)
            else:
                break
    deferred.flush(LAST_LIMIT)
    return 0


def _wait_until(done: Callable[[], bool], reader: int) -> bool:
    """Wait until ``done()``. Returns False if the arbiter exits first."""
    hung_up = select.poll()
    hung_up.register(reader, 0)
    while not done():
        if any(mask & select.POLLHUP for _, mask in hung_up.poll(_POLL_MS)):
            return False
        time.sleep(_POLL_MS / 1000)
    return True
