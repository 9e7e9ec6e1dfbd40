"""Files: `FileWrapper` for WSGI, and senders of regular files that need no application.

The loop sends a regular file from a duplicate of its descriptor, so the application's object can
be closed at once. So a slow client occupies neither a thread nor a temporary file. Other objects
with a ``read`` are read like an iterable.
"""

import asyncio
import io
import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pyfork.http.response.head import as_bytes
from pyfork.record import record

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection

BLOCK = 64 * 1024  # bytes per read where sendfile is not available
PIECE = 1 << 20  # bytes per call of sendfile, so that other connections get their turn

# Classes whose `read` returns the bytes of their descriptor. Subclasses may return others, and so
# do the classes of gzip, zipfile and text files.
_PLAIN = frozenset((io.FileIO, io.BufferedReader, io.BufferedRandom))


@record
class Region:
    """A range of a regular file."""

    fd: int
    offset: int
    count: int


class FileWrapper:
    """``wsgi.file_wrapper`` (PEP 3333): an iterable over an object with a ``read``."""

    def __init__(self, filelike: Any, blksize: int = BLOCK) -> None:
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close: Callable[[], Any] = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces(None)

    def pieces(self, limit: int | None) -> Iterator[bytes]:
        """Yield results of ``read`` until one is empty or ``limit`` bytes were yielded.

        Raises ResponseError if one is not bytes.
        """
        read, size = self.filelike.read, self.blksize
        while limit is None or limit > 0:
            data = as_bytes(read(size if limit is None else min(size, limit)))
            if not data:
                return
            if limit is not None:
                data = data[:limit]  # some return more than requested
                limit -= len(data)
            yield data

    def file_range(self) -> Region | None:
        """Return the rest of a regular file, or None if the object returns other bytes."""
        try:
            plain = _plain(self.filelike)
            if plain is None:
                return None
            if type(plain) is io.BufferedRandom:
                plain.flush()
            fd, offset = plain.fileno(), plain.tell()
            status = os.fstat(fd)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return Region(fd, offset, max(0, status.st_size - offset))


def _plain(filelike: Any) -> Any:
    """Return Python's own file object whose `read` is that of ``filelike``, such as a
    temporary file's."""
    kind = type(filelike)
    if (kind.__module__, kind.__name__) == ("tempfile", "_TemporaryFileWrapper"):
        filelike = filelike.file
    owner = getattr(getattr(filelike, "read", None), "__self__", None)
    if type(owner) not in _PLAIN:
        return None
    return owner if type(getattr(owner, "raw", owner)) is io.FileIO else None


class FileSender:
    """Sends a region by sendfile(2), then calls ``done`` with None or the error.

    sendfile needs the socket alone, so the transport's buffer is empty when a sender is made. It
    waits for the socket on a duplicate of its descriptor: the loop allows no second watcher of the
    original. The region's descriptor is closed at the end. ``progress`` is called with the bytes
    of each piece.
    """

    def __init__(
        self,
        connection: "Connection",
        region: Region,
        *,
        progress: Callable[[int], None],
        done: Callable[[OSError | None], None],
    ) -> None:
        self._loop: asyncio.AbstractEventLoop = connection.engine.loop
        self._socket = os.dup(connection.fileno())
        self._fd = region.fd
        self._offset = region.offset
        self._left = region.count
        self._progress = progress
        self._done = done
        self._loop.add_writer(self._socket, self._send)

    def stop(self) -> None:
        """Stop without calling ``done``."""
        if self._socket >= 0:
            self._loop.remove_writer(self._socket)
            os.close(self._socket)
            os.close(self._fd)
            self._socket = -1

    def resume(self) -> None:
        """The transport's buffer is empty: nothing to do."""

    def _send(self) -> None:
        error: OSError | None = None
        try:
            sent = os.sendfile(self._socket, self._fd, self._offset, min(self._left, PIECE))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as failure:
            sent, error = 0, failure
        self._offset += sent
        self._left -= sent
        if sent:
            self._progress(sent)
        if error is None and sent == 0 and self._left:
            error = OSError("the file became shorter while it was sent")
        if error is not None or not self._left:
            self.stop()
            self._done(error)


class FileReader:
    """As `FileSender`, by reads and the transport: for TLS."""

    def __init__(
        self,
        connection: "Connection",
        region: Region,
        *,
        progress: Callable[[int], None],
        done: Callable[[OSError | None], None],
    ) -> None:
        self._connection = connection
        self._fd = region.fd
        self._offset = region.offset
        self._left = region.count
        self._progress = progress
        self._done = done
        connection.engine.loop.call_soon(self.resume)

    def stop(self) -> None:
        """Stop without calling ``done``."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def resume(self) -> None:
        """Continue while the client takes data."""
        error: OSError | None = None
        while self._fd >= 0 and self._left and error is None and not self._connection.write_paused:
            try:
                data = os.pread(self._fd, min(self._left, BLOCK), self._offset)
            except OSError as failure:
                data, error = b"", failure
            else:
                if not data:
                    error = OSError("the file became shorter while it was sent")
            self._offset += len(data)
            self._left -= len(data)
            self._connection.write(data)
            self._progress(len(data))
        if self._fd >= 0 and (error is not None or not self._left):
            self.stop()
            self._done(error)
