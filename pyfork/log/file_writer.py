"""A process that writes a log file on a file system that may hang, and nothing else.

It reads whole lines from stdin, which is a pipe with a writing end in each process that logs, and
ends when all of these are closed. A thread opens and writes the file; it may wait in the kernel for
as long as the file system hangs. `remote` starts the process. A rotated file is noticed before
each write, so it needs no signal.
"""

import contextlib
import os
import select
import signal
import sys
import threading

from pyfork.log.opening import open_owned
from pyfork.log.output import LogOutput

PIECE = 64 * 1024  # bytes of one write, unless a line is longer
LAST_LIMIT = 1.0  # seconds without progress, once nobody logs any more
_OPENED = b"0"
_IGNORED = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU),
)


class FileWriter:
    """Writes what comes on ``source`` to a file."""

    def __init__(self, source: int, path: str, owner: tuple[int, int]) -> None:
        self._source = source
        self._path = path
        self._owner = owner
        self._fd = -1
        self._lost = 0  # lines
        self._is_failing = False
        self.progress = 0  # pieces that were read or written

    def run(self, report: int) -> None:
        """Write until all writing ends of ``source`` are closed.

        The result of the first attempt to open the file goes to ``report``: "0", or an errno.
        """
        why = self._open()
        os.write(report, _OPENED if why is None else b"%d" % (why.errno or 0))
        rest = b""
        while data := os.read(self._source, PIECE):
            self.progress += 1
            end = data.rfind(b"\n") + 1
            if end:
                self._write(rest + data[:end])
                rest = b""
            rest += data[end:]
        if rest:
            self._write(rest)

    def _open(self) -> OSError | None:
        try:
            fd = open_owned(self._path, self._owner)
        except OSError as error:
            return error
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        return None

    def _is_current(self) -> bool:
        """Whether the path still names the open file."""
        if self._fd < 0:
            return False
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except OSError:  # it was removed, or the server of an NFS has forgotten it
            return False

    def _write(self, lines: bytes) -> None:
        """Write ``lines``, or count them as lost."""
        error = None if self._is_current() else self._open()
        if error is None and self._lost:
            report = b"pyfork: lines were lost, the file took no more: %d\n" % self._lost
            if (error := self._write_all(report)) is None:
                self._lost = 0
        if error is None:
            error = self._write_all(lines)
        if error is not None:
            self._lost += lines.count(b"\n")
            if not self._is_failing:
                _complain(f"cannot write to {self._path}: {error.strerror}")
        self._is_failing = error is not None

    def _write_all(self, data: bytes) -> OSError | None:
        try:
            while data:
                data = data[os.write(self._fd, data) :]
                self.progress += 1
        except OSError as error:
            return error
        return None


def main(words: list[str]) -> int:
    """Run the process. ``words``: the path, and the user and group id of its owner."""
    path, user, group = words
    for number in _IGNORED:  # one to the group must not cost the last lines
        signal.signal(number, signal.SIG_IGN)
    report = os.dup(1)  # open for as long as this process lives
    writer = FileWriter(0, path, (int(user), int(group)))
    thread = threading.Thread(target=writer.run, args=(report,), daemon=True)
    thread.start()
    hung_up = select.poll()
    hung_up.register(0, 0)
    while thread.is_alive() and not hung_up.poll():
        pass
    seen = -1
    while thread.is_alive() and writer.progress != seen:
        seen = writer.progress
        thread.join(LAST_LIMIT)
    os._exit(thread.is_alive())


def _complain(text: str) -> None:
    """Write ``text`` to stderr, if that has room now."""
    with contextlib.suppress(OSError):
        LogOutput.of_stream(2).write(f"pyfork: {text}\n".encode(errors="backslashreplace"))


if __name__ == "__main__":
    main(sys.argv[1:])
