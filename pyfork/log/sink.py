"""The end of a log line: a file or a standard stream, one write for each line.

Every process writes for itself. A file is opened in append mode and a line is one write, so lines
of two processes do not mix. A line that was logged before a crash is in the file. (`access` writes
several lines at once.)

A slow or stopped reader stops no process: lines that a pipe, a socket or a terminal does not take
wait in a bounded buffer. When it is full, lines are lost and counted until it is empty; then the
error log reports how many. A file that is not on a local file system is written by a process of
its own, through a pipe (`remote`): each system call for it may wait for ever.
"""

import logging
import os
import re
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Literal

from pyfork.log.opening import open_owned
from pyfork.log.output import LogOutput
from pyfork.system.mounts import Mounts

if TYPE_CHECKING:
    from pyfork.log.remote import RemoteFile

LIMIT = 256 << 10  # bytes of waiting lines, for each sink in each process
PATIENCE = 0.05  # seconds that a sink waits for room, from a full buffer until it is empty

_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/self/fd)/(\d{1,6})")


class Sink:
    """A descriptor for whole lines, used from any thread.

    The path is stored absolute, since the process may change its directory before it reopens the
    file.
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

        /dev/stdout and the like mean the open descriptor, since a socket cannot be opened again.

        ``owner``: user and group id of workers that reopen the file; root gives it to them. -1
        keeps one as it is. ``name``: the name in the log, if not ``path``.

        Raises:
            OSError: the file cannot be opened.
        """
        number = stream if path == "-" else _descriptor(path)
        self.path = os.path.abspath(path) if number is None else None
        self._owner = owner
        self._remote: RemoteFile | None = None
        if self.path is not None and Mounts.read().may_hang(self.path):
            from pyfork.log import remote  # rarely used

            self._remote = remote.RemoteFile(self.path, owner)
            self._output = LogOutput(self._remote.fd, own=False)
        elif self.path is not None:
            self._output = LogOutput(open_owned(self.path, owner), own=True)
        elif number is not None:
            self._output = LogOutput.of_stream(number)
        self.fd = self._output.fd  # the written descriptor
        # Bytes that may be written directly; 0 while lines wait or an error persists.
        self._direct = self._output.direct
        self._name = name or {"-1": "stdout", "-2": "stderr"}.get(f"{path}{stream}", path)
        # Also the lock of its handlers: logging renews it in a child that was forked while it was
        # held.
        self.lock = threading.RLock()
        self._patience = self._patience_left = PATIENCE
        self._pid = os.getpid()  # the process of the fields below
        self._waiting: deque[bytes] = deque()
        self._size = 0  # bytes in it
        self._cut = False  # the last write ended within a line
        self._torn = False  # and the rest of that line is lost
        self._error: OSError | None = None  # of the last write
        self.lost = 0  # lines
        self._unreported = 0  # of those, not reported yet

    @property
    def is_waiting(self) -> bool:
        """Whether lines wait for room."""
        return bool(self._waiting) and self._pid == os.getpid()

    def wait_until_open(self, seconds: float) -> None:
        """Wait ``seconds`` at most until a file on a file system that may hang is open.

        Raises:
            OSError: it cannot be opened.
        """
        if self._remote is not None:
            self._remote.wait(seconds)

    def tend(self) -> None:
        """Replace the process that writes the file, if there was one and it has died."""
        if self._remote is not None:
            self._remote.tend()

    def write(self, line: str) -> None:
        """Write ``line``, which has no line end. A line that cannot be written is lost and
        counted."""
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
        """Write whole lines, each with its line end."""
        with self.lock:
            if self._pid != os.getpid():
                self.begin()
            if self._waiting:
                self._drain()
            if self._waiting:
                self._keep(data)
            elif rest := self._send(data):
                self._append(rest)
            elif self._unreported and not self._error:
                self._log_lost()
            self._settle()

    def flush(self, patience: float = 0.0) -> None:
        """Write waiting lines for ``patience`` seconds at most."""
        if not self.is_waiting:
            return
        with self.lock:
            self._drain()
            until = time.monotonic() + patience
            while self._waiting and self._has_room(until - time.monotonic()):
                self._drain()
            self._settle()

    def close(self) -> None:
        """Close the file; standard streams stay open."""
        self.flush()
        self._output.close()
        if self._remote is not None:
            self._remote.close()

    def wait_for_room(self, seconds: float) -> None:
        """Set how many seconds writes may wait in total, from a full buffer until it is empty."""
        self._patience = self._patience_left = seconds

    def reopen(self) -> None:
        """Reopen the path, if there is one: the file may have been rotated. (`file_writer` does it
        by itself.)

        Raises:
            OSError: it cannot be opened; lines go on into the old file.
        """
        if self.path is not None and self._remote is None:
            fresh = open_owned(self.path, self._owner)
            # dup2() in place: another thread may be inside a write, and its number stays valid.
            with self.lock:
                os.dup2(fresh, self.fd, inheritable=False)
                os.close(fresh)
                self._output = LogOutput(self.fd, own=True)  # the new file may be of another kind
                self._direct = min(self._direct, self._output.direct)

    # Called with the lock held.

    def _settle(self) -> None:
        wrong = self._waiting or self._unreported or self._torn or self._error
        self._direct = 0 if wrong else self._output.direct

    def _send(self, data: bytes) -> bytes:
        """Write ``data`` as far as there is room. Returns the rest, unless that is lost."""
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
        """Count ``data`` as lost. The loss must not fail a request, and must be reported."""
        if self._torn:
            data = data[1:]
        self._torn = self._cut
        if self._error is None and self.path is not None:
            write_to_stderr(f"cannot write to {self.path}: {error.strerror}")
        self._error = error
        self._lose(data)

    def _lose(self, data: bytes) -> None:
        lines = data.count(b"\n")
        self.lost += lines
        self._unreported += lines

    def _keep(self, data: bytes) -> None:
        """Buffer ``data``, or lose it: once a line finds no room, all are lost until the
        buffer is empty."""
        while self._unreported or self._size + len(data) > LIMIT:
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
        """Write waiting lines as far as there is room."""
        waiting = self._waiting
        while waiting:
            data = waiting.popleft()
            self._size -= len(data)
            if rest := self._send(data):
                waiting.appendleft(rest)
                self._size += len(rest)
                return
        self._patience_left = self._patience
        if self._unreported and not self._error:
            self._log_lost()

    def _has_room(self, patience: float) -> bool:
        """Wait ``patience`` seconds at most for room."""
        if patience <= 0:
            return False
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        if not poll.poll(patience * 1000):
            return False
        time.sleep(0.0005)  # room for some bytes may not suffice for a line
        return True

    def _log_lost(self) -> None:
        """Log how many lines are missing, perhaps through this sink."""
        lost, count, self._unreported = self.lost, self._unreported, 0
        what = "1 line was lost" if count == 1 else f"{count} lines were lost"
        logging.getLogger("pyfork.error").warning("%s: %s took no more", what, self._name)
        if self._error is not None:  # the report failed; it is not counted as a lost line
            self.lost, self._unreported = lost, count

    def begin(self) -> None:
        """Forget in a forked child: waiting lines and counts are the parent's."""
        self._pid = os.getpid()
        self._waiting.clear()
        self._size = self.lost = self._unreported = 0


class SinkHandler(logging.Handler):
    """The bridge from the logging package to a sink.

    An application's logging configuration closes every handler first. The sink belongs to pyfork,
    so only `configure` closes it.
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
        """Write waiting lines, or give up soon."""
        self.sink.flush(PATIENCE)


def write_to_stderr(text: str) -> None:
    """Write ``text`` to stderr if that has room now."""
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
    """Return the number of the open descriptor that ``path`` names."""
    if found := _DESCRIPTOR.fullmatch(path):
        return int(found[1])
    return _STREAMS.get(path)


def _some_lines(data: bytes, output: LogOutput) -> bytes:
    """Return as many lines of ``data`` as fit into one write, or one longer line.

    Raises:
        BlockingIOError: there is no room for so long a line.
    """
    end = data.rfind(b"\n", 0, output.whole) + 1
    if end == 0:
        end = data.find(b"\n") + 1 or len(data)
        output.await_room(end)
    return data[:end]
