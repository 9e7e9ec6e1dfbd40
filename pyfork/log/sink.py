"""Where log lines end up: a file or one of the standard streams, one write a line.

Every process of the tree writes for itself. A file is opened in append mode and a line leaves in
one write, so the lines of two processes do not mix. A line that was logged before a crash is
there after it. (What `access` hands over are the lines of a moment.)

A reader that is slow or stopped stops no process: lines that a pipe, a socket or a terminal does
not take wait in a bounded buffer. Once that is full, lines are lost and counted until it has
emptied; then the error log says how many.
"""

import logging
import os
import re
import select
import stat
import threading
import time
from collections import deque
from typing import Literal

from pyfork.log.opening import open_log
from pyfork.log.output import LogOutput

LIMIT = 256 << 10  # bytes of lines that wait, for each sink in each process
PATIENCE = 0.05  # seconds that a sink waits for room, from a full buffer until it has emptied

_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/self/fd)/(\d{1,6})")


class Sink:
    """A descriptor that takes whole lines, from any thread.

    A path is remembered absolute, since the process may change its directory before it reopens.
    """

    def __init__(
        self,
        path: str,
        *,
        stream: Literal[1, 2],
        owner: tuple[int, int] = (-1, -1),
        name: str = "",
    ) -> None:
        """Open ``path``; "-" is ``stream``: 1 for stdout, 2 for stderr.

        /dev/stdout and its like are what is open already, since a socket cannot be opened again.

        ``owner``: user and group id of workers that are to open the file again; root gives it to
        them. -1 leaves one as it is. ``name``: how the log calls it, if not by ``path``.

        Raises:
            OSError: the file cannot be opened.
        """
        number = stream if path == "-" else _descriptor(path)
        self.path = os.path.abspath(path) if number is None else None
        self._owner = owner
        if self.path is not None:
            self._output = LogOutput(self._open(self.path), own=True)
        elif number is not None:
            self._output = LogOutput.of_stream(number)
        self.fd = self._output.fd  # what is written to
        # Bytes that may go straight to it; 0 while something waits or is wrong.
        self._direct = self._output.direct
        self._name = name or {"-1": "stdout", "-2": "stderr"}.get(f"{path}{stream}", path)
        # Of its handlers, too: logging renews it in a child that was forked while it was held.
        self.lock = threading.RLock()
        self._patience = self._patience_left = PATIENCE
        self._pid = os.getpid()  # whose the following are
        self._waiting: deque[bytes] = deque()
        self._size = 0  # bytes in it
        self._cut = False  # what was written last is the beginning of a line
        self._torn = False  # and the rest of that line is lost
        self._error: OSError | None = None  # of the last write
        self.lost = 0  # lines
        self._untold = 0  # of those, not in the log yet

    @property
    def is_waiting(self) -> bool:
        """Whether lines wait for room."""
        return bool(self._waiting) and self._pid == os.getpid()

    def write(self, line: str) -> None:
        """Write ``line``, which has no line end. What cannot be written is lost, and counted."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        if len(data) <= self._direct:
            try:
                written = os.write(self.fd, data)
            except OSError:
                written = 0
            if written == len(data):
                return
            data = data[written:]
            self._cut = written > 0
        self.write_lines(data)

    def write_lines(self, data: bytes) -> None:
        """Write whole lines, the last of which has its end, too."""
        with self.lock:
            if self._pid != os.getpid():
                self.begin()
            if self._waiting:
                self._drain()
            if self._waiting:
                self._keep(data)
            elif rest := self._send(data):
                self._append(rest)
            elif self._untold and not self._error:
                self._tell_lost()
            self._settle()

    def flush(self, patience: float = 0.0) -> None:
        """Write what waits, for at most ``patience`` seconds."""
        if not self.is_waiting:
            return
        with self.lock:
            self._drain()
            until = time.monotonic() + patience
            while self._waiting and self._has_room(until - time.monotonic()):
                self._drain()
            self._settle()

    def close(self) -> None:
        """Close the file; the standard streams stay."""
        self.flush()
        self._output.close()

    def wait_for_room(self, seconds: float) -> None:
        """How long a write may wait in total, from a full buffer until that has emptied."""
        self._patience = self._patience_left = seconds

    def reopen(self) -> None:
        """Open the path anew, if there is one: the file may have been rotated away.

        Raises:
            OSError: it cannot be opened; the lines go on into the old file.
        """
        if self.path is not None:
            fresh = self._open(self.path)
            # In place: a thread in the middle of a write has the number, and it stays valid.
            with self.lock:
                os.dup2(fresh, self.fd, inheritable=False)
                os.close(fresh)
                self._output = LogOutput(self.fd, own=True)  # it may be of another kind
                self._direct = min(self._direct, self._output.direct)

    def _open(self, path: str) -> int:
        fd = open_log(path, {self._owner[0]})
        # Not where root was given up since; and /dev/null stays root's.
        if self._owner != (-1, -1) and os.geteuid() == 0 and stat.S_ISREG(os.fstat(fd).st_mode):
            os.fchown(fd, *self._owner)
        return fd

    # What is called with the lock held.

    def _settle(self) -> None:
        wrong = self._waiting or self._untold or self._torn or self._error
        self._direct = 0 if wrong else self._output.direct

    def _send(self, data: bytes) -> bytes:
        """Write ``data`` as far as there is room; the rest is returned, unless it is lost."""
        output = self._output
        if self._torn:
            data = b"\n" + data
        try:
            while data:
                part = data if len(data) <= output.whole else _some_lines(data, output)
                written = output.write(part)
                self._cut = written < len(part) and data[written - 1 : written] != b"\n"
                self._torn = False
                data = data[written:]
        except BlockingIOError:
            self._error = None
            return data
        except OSError as error:
            self._fail(error, data)
            return b""
        self._error = None
        return b""

    def _fail(self, error: OSError, data: bytes) -> None:
        """``data`` is lost. That must not cost a request, but must not pass unseen either."""
        if self._torn:
            data = data[1:]
        self._torn = self._cut
        if self._error is None and self.path is not None:
            say(f"cannot write to {self.path}: {error.strerror}")
        self._error = error
        self._lose(data)

    def _lose(self, data: bytes) -> None:
        lines = data.count(b"\n")
        self.lost += lines
        self._untold += lines

    def _keep(self, data: bytes) -> None:
        """Let ``data`` wait; or lose it, from the first that finds no place until all have left."""
        while self._untold or self._size + len(data) > LIMIT:
            began = time.monotonic()
            roomy = self._has_room(self._patience_left)
            self._patience_left -= time.monotonic() - began
            if not roomy:
                self._lose(data)
                return
            self._drain()
        if not self._waiting:
            data = self._send(data)
        if data:
            self._append(data)

    def _append(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)

    def _drain(self) -> None:
        """Write what waits, as far as there is room."""
        waiting = self._waiting
        while waiting:
            data = waiting.popleft()
            self._size -= len(data)
            if rest := self._send(data):
                waiting.appendleft(rest)
                self._size += len(rest)
                return
        self._patience_left = self._patience
        if self._untold and not self._error:
            self._tell_lost()

    def _has_room(self, patience: float) -> bool:
        """Wait for room, at most ``patience`` seconds."""
        if patience <= 0:
            return False
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        if not poll.poll(patience * 1000):
            return False
        time.sleep(0.0005)  # room for some bytes need not be room for a line
        return True

    def _tell_lost(self) -> None:
        """Say in the error log how many lines are missing. It may be the log of this sink."""
        lost, count, self._untold = self.lost, self._untold, 0
        what = "1 line was lost" if count == 1 else f"{count} lines were lost"
        logging.getLogger("pyfork.error").warning("%s: %s took no more", what, self._name)
        if self._error is not None:  # it could not be said, and is no line that anybody misses
            self.lost, self._untold = lost, count

    def begin(self) -> None:
        """In a child that was forked: what waits and what is counted is the parent's."""
        self._pid = os.getpid()
        self._waiting.clear()
        self._size = self.lost = self._untold = 0


class SinkHandler(logging.Handler):
    """The bridge from the logging package to a sink.

    ``close`` is also called by the logging set-up of an application, which starts with closing
    every handler there is. The sink is not theirs to close, so only `configure` does that.
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink
        self.lock = sink.lock

    def emit(self, record: logging.LogRecord) -> None:
        """Format the record and write it."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - any argument of the message may fail to print
            self.sink.write(f"cannot print a record: {error!r}: {record.msg!r}")
        else:
            self.sink.write(line)

    def flush(self) -> None:
        """Write what waits for room, or give it up soon."""
        self.sink.flush(PATIENCE)


def say(text: str) -> None:
    """Write ``text`` to stderr if that takes it now."""
    try:
        output = LogOutput.of_stream(2)
    except OSError:  # there is no stderr
        return
    try:
        output.write(f"pyfork: {text}\n".encode(errors="backslashreplace"))
    except OSError:
        return
    finally:
        output.close()


def _descriptor(path: str) -> int | None:
    """The number of an open descriptor that ``path`` is a name of."""
    if found := _DESCRIPTOR.fullmatch(path):
        return int(found[1])
    return _STREAMS.get(path)


def _some_lines(data: bytes, output: LogOutput) -> bytes:
    """As many lines of ``data`` as leave whole; or the first one, where that is longer.

    Raises:
        BlockingIOError: there is no room for a line that is so long.
    """
    end = data.rfind(b"\n", 0, output.whole) + 1
    if end == 0:
        end = data.find(b"\n") + 1 or len(data)
        output.await_room(end)
    return data[:end]
