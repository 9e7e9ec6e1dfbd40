"""Writing to a descriptor without waiting for its reader.

Other programs share the standard streams and rely on their O_NONBLOCK flag, which belongs to the
open file description. So a pipe or a terminal is opened again, with a description of its own. If
the kernel refuses that (another user's pipe), a pipe is written with RWF_NOWAIT, a terminal is
opened as /dev/tty, and a socket is written with MSG_DONTWAIT. Elsewhere (macOS) a short piece is
written when poll(2) reports room.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import select
import socket
import stat
import sys
import termios
from collections.abc import Callable
from functools import partial

ATOMIC = select.PIPE_BUF  # bytes that a pipe takes atomically (POSIX write())

_PIECE = 512  # bytes; the smallest PIPE_BUF that POSIX allows
_ANEW = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_TIOCGDEV = 0x80045432  # Linux: the device number of a terminal


class LogOutput:
    """A descriptor that is written without blocking.

    ``write(data)`` returns how many bytes were taken. It raises BlockingIOError without room, and
    OSError. Up to ``whole`` bytes are taken together or not at all. Up to ``direct`` bytes may be
    written by os.write().
    """

    write: Callable[[bytes], int]

    def __init__(self, fd: int, *, own: bool) -> None:
        """``own``: `close` closes ``fd``; it is non-blocking if it could block."""
        self.fd = fd
        self._own: int | socket.socket | None = fd if own else None
        kind = os.fstat(fd).st_mode
        self.whole = ATOMIC if stat.S_ISFIFO(kind) else 1 << 30
        self.direct = self.whole
        self.write = partial(os.write, fd)

    @classmethod
    def of_stream(cls, number: int) -> "LogOutput":
        """Make the output for a shared descriptor: 1 or 2.

        Raises:
            OSError: it is not open.
        """
        kind = os.fstat(number).st_mode
        if stat.S_ISREG(kind) or stat.S_ISDIR(kind):  # a regular file has no reader to wait for
            return cls(number, own=False)
        if stat.S_ISSOCK(kind):
            return cls._of_socket(number)
        for path in (f"/proc/self/fd/{number}", "/dev/tty"):
            with contextlib.suppress(OSError):
                fd = os.open(path, _ANEW)
                if path != "/dev/tty" or _terminal(fd) == _terminal(number):
                    return cls(fd, own=True)
                os.close(fd)
        output = cls(number, own=False)
        output.direct = 0
        output.write = output._no_wait if hasattr(os, "RWF_NOWAIT") else output._polled
        return output

    @classmethod
    def _of_socket(cls, number: int) -> "LogOutput":
        output = cls(number, own=False)
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(None)  # or the new object would set O_NONBLOCK
        try:
            copy = output._own = socket.socket(fileno=os.dup(number))
        finally:
            socket.setdefaulttimeout(timeout)
        output.direct = 0
        output.write = lambda data: copy.send(data, socket.MSG_DONTWAIT)
        return output

    def await_room(self, length: int) -> None:
        """Check that more than ``whole`` bytes can be written without a line of another process in
        between.

        Raises:
            BlockingIOError: the pipe has no room for ``length`` bytes yet.
        """
        if self.whole == ATOMIC and hasattr(fcntl, "F_GETPIPE_SZ"):
            held = int.from_bytes(fcntl.ioctl(self.fd, termios.FIONREAD, bytes(4)), sys.byteorder)
            pages = fcntl.fcntl(self.fd, fcntl.F_GETPIPE_SZ) // mmap.PAGESIZE
            # A write that does not fit into a page uses the next: half of each may stay empty.
            if held and 2 * (held + length) // mmap.PAGESIZE + 2 > pages:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def close(self) -> None:
        """Close the descriptor if it is our own; a shared one stays open."""
        own, self._own = self._own, None
        if isinstance(own, socket.socket):
            own.close()
        elif own is not None:
            os.close(own)

    def _no_wait(self, data: bytes) -> int:
        try:
            return os.pwritev(self.fd, [data], -1, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        self.write = self._polled
        return self._polled(data)

    def _polled(self, data: bytes) -> int:
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return os.write(self.fd, data[:_PIECE])


def _terminal(fd: int) -> bytes:
    """Return the device number of the terminal ``fd``. Raises OSError: it is none."""
    return fcntl.ioctl(fd, _TIOCGDEV, bytes(4))
