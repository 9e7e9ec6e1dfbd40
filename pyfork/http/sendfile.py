"""Files sent by the kernel: `FileWrapper` for WSGI, `FileSender` for the connection.

sendfile(2) needs the socket to itself, so a sender starts when the transport's buffer is empty
and waits for the socket on a duplicate of its fd: the loop lets nobody else watch the original.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from typing import IO, Any

BLOCK = 64 * 1024  # bytes of a read where sendfile is not to be had
PIECE = 1 << 20  # bytes the kernel is asked to take at a time: others get their turn between


class FileWrapper:
    """``wsgi.file_wrapper`` (PEP 3333): an iterable over a file, and a hint to send it whole."""

    def __init__(self, filelike: IO[bytes], blksize: int = BLOCK) -> None:
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close: Callable[[], Any] = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while data := self.filelike.read(self.blksize):
            yield data

    def region(self) -> tuple[int, int, int] | None:
        """(fd, offset, bytes to its end) if this is a regular file, else None."""
        try:
            fd = self.filelike.fileno()
            offset = self.filelike.tell()
            status = os.fstat(fd)
        except (AttributeError, OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return fd, offset, max(0, status.st_size - offset)


class FileSender:
    """Sends ``count`` bytes of ``fd`` from ``offset``, then calls ``done`` with None or the error.

    ``progress`` is called with the bytes of each piece.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        fd: int,
        offset: int,
        count: int,
        *,
        progress: Callable[[int], None],
        done: Callable[[OSError | None], None],
    ) -> None:
        self._loop = loop
        self._socket = os.dup(transport.get_extra_info("socket").fileno())
        self._fd = fd
        self._offset = offset
        self._left = count
        self._progress = progress
        self._done = done
        loop.add_writer(self._socket, self._send)

    def stop(self) -> None:
        """Give up, without calling ``done``."""
        if self._socket >= 0:
            self._loop.remove_writer(self._socket)
            os.close(self._socket)
            self._socket = -1

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
