"""Where log lines end up: a file or one of the standard streams, one write a line.

Every process of the tree writes for itself. A file is opened in append mode and a line leaves in
one write, so the lines of two processes do not mix. Nothing is buffered here: a line that was
logged before a crash is there after it. (What `access` hands over are the lines of a moment.)
"""

import logging
import os
import select
import sys
from typing import Literal

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_PATIENCE = 1000  # ms that a line waits for a full, non-blocking terminal or pipe


class Sink:
    """A descriptor that takes whole lines.

    A path is remembered absolute, since the process may change its directory before it reopens.
    """

    def __init__(self, path: str, *, stream: Literal[1, 2]) -> None:
        """Open ``path``; "-" is ``stream``: 1 for stdout, 2 for stderr.

        Raises:
            OSError: the file cannot be opened.
        """
        self.path = None if path == "-" else os.path.abspath(path)
        self.fd = stream if self.path is None else os.open(self.path, _FLAGS, 0o644)
        self._owner: tuple[int, int] | None = None
        self._failing = False

    def write(self, line: str) -> None:
        """Write ``line``, which has no line end. What cannot be written is lost, and told once."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            written = os.write(self.fd, data)
            if written != len(data):
                self._write_rest(data[written:])
        except BlockingIOError:
            self._write_rest(data)
        except OSError as error:
            self._tell(error)
        else:
            self._failing = False

    def give_to(self, uid: int, gid: int) -> None:
        """Let workers that run as another user open it again; -1 leaves one as it is.

        Only root may do that. It holds for what `reopen` makes, too.
        """
        self._owner = (uid, gid)
        if self.path is not None:
            os.fchown(self.fd, uid, gid)

    def reopen(self) -> None:
        """Open the path anew, if there is one: the file may have been rotated away.

        Raises:
            OSError: it cannot be opened; the lines go on into the old file.
        """
        if self.path is not None:
            fresh = os.open(self.path, _FLAGS, 0o644)
            if self._owner is not None and os.geteuid() == 0:  # not where root was given up since
                os.fchown(fresh, *self._owner)
            # In place: a thread in the middle of a write has the number, and it stays valid.
            os.dup2(fresh, self.fd, inheritable=False)
            os.close(fresh)

    def close(self) -> None:
        """Close the file; the standard streams stay."""
        if self.path is not None and self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _write_rest(self, data: bytes) -> None:
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        while data and poll.poll(_PATIENCE):
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:  # another process was quicker
                continue
            except OSError as error:
                return self._tell(error)
        return None

    def _tell(self, error: OSError) -> None:
        """Losing a log line must not cost a request, but must not pass unseen either."""
        if not self._failing and self.path is not None and sys.stderr is not None:
            print(f"pyfork: cannot write to {self.path}: {error.strerror}", file=sys.stderr)
        self._failing = True


class SinkHandler(logging.Handler):
    """The bridge from the logging package to a sink.

    ``close`` is also called by the logging set-up of an application, which starts with closing
    every handler there is. The sink is not theirs to close, so only `configure` does that.
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Format the record and write it."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - any argument of the message may fail to print
            self.handleError(record)
        else:
            self.sink.write(line)
