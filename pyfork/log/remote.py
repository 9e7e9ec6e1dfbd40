"""A log file on a file system that may hang (NFS, FUSE), written by a process of its own.

The processes that log write to a pipe, as to any reader that may be slow: see `sink`. The process
that has opened the file keeps the pipe's reading end, too. So if the writing process dies, no other
one sees the pipe end, and the next writing process goes on with it.
"""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import time

_PIPE = 256 << 10  # bytes that it takes; less where the system allows less
_AGAIN = 1.0  # seconds from the start of a process until it is replaced, at least
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from pyfork.log.file_writer import main; main(sys.argv[1:])"
)
_IMPORTED_FROM = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))


class RemoteFile:
    """The pipe, and the process that writes what comes through it."""

    def __init__(self, path: str, owner: tuple[int, int]) -> None:
        """Start the process. ``owner``: as for `open_owned`.

        Raises:
            OSError: no process or descriptor is available.
        """
        self._path = path
        self._owner = owner
        self._pid = os.getpid()  # the process that has opened the file
        self._reader, self.fd = os.pipe()
        self._report = -1  # ends when the process ends
        self._started = 0.0  # monotonic seconds
        os.set_blocking(self.fd, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # a limit of this user
                fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, _PIPE)
        try:
            self._start()
        except OSError:
            self.close()
            raise

    def wait(self, seconds: float) -> None:
        """Wait until the process has tried to open the file, ``seconds`` at most.

        Raises:
            OSError: it cannot be opened.
        """
        poll = select.poll()
        poll.register(self._report, select.POLLIN)
        if poll.poll(seconds * 1000) and (number := int(os.read(self._report, 16) or b"0")):
            raise OSError(number, os.strerror(number), self._path)

    def tend(self) -> None:
        """Start the process again if it has died."""
        if self._pid != os.getpid() or time.monotonic() - self._started < _AGAIN:
            return
        try:
            is_alive = self._report >= 0 and os.read(self._report, 16) != b""
        except BlockingIOError:
            is_alive = True
        if not is_alive:
            with contextlib.suppress(OSError):  # none is available: the next call tries again
                self._start()

    def close(self) -> None:
        """Log no more. The process ends when no other one logs."""
        for fd in (self.fd, self._reader, self._report):
            if fd >= 0:
                os.close(fd)
        self.fd = self._reader = self._report = -1

    def _start(self) -> None:
        self._started = time.monotonic()
        report, theirs = os.pipe()
        try:
            # Its end is seen by the pipe, and whoever reaps this process' children reaps it.
            process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _PROGRAM, _IMPORTED_FROM),
                    *(self._path, *map(str, self._owner)),
                ],
                stdin=self._reader,
                stdout=theirs,
                cwd="/",
            )
        except OSError:
            os.close(report)
            raise
        finally:
            os.close(theirs)
        process.returncode = 0
        os.set_blocking(report, False)
        if self._report >= 0:
            os.close(self._report)
        self._report = report
