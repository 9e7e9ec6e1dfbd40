"""A channel: a socket pair that carries messages, and file descriptors beside them.

A frame is a header (length of the body, number of fds) and a body made by `messages.encode`. The
fds travel with the first byte of the frame. A read may return several frames, but never fds of two
frames (Linux and the BSDs end the read there). So batches of fds are queued, and each frame that
announces fds takes the next batch.

Neither end blocks: bytes that do not fit are kept until `flush`. A write to a dead peer is no
error: `receive` reports the death, once.

Rules: no decisions, no knowledge of what a message means, no selector.
"""

import array
import contextlib
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Sequence

from pyfork.ipc.messages import Message, decode, encode
from pyfork.record import record

MAX_BODY = 1 << 20  # bytes of one encoded message
MAX_FDS = 64  # fds beside one message; the kernels' own limits are higher

_HEADER = struct.Struct("!IH")
_READ = 1 << 16
_READS = 16  # per receive(): a peer that never pauses must not starve other descriptors of the loop
# The buffer is full, or too many fds are in transit in the whole system: both pass.
_FULL = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ETOOMANYREFS)
_CLOEXEC = getattr(
    socket, "MSG_CMSG_CLOEXEC", 0
)  # where it is missing (macOS), the flag is set after the read
_ANCILLARY = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)


class ChannelClosed(EOFError):
    """The peer is gone, or sent no valid frame; all its earlier messages have been returned."""


@record
class Received:
    """One message. The caller owns ``fds`` and closes them.

    ``fds`` is empty if this process could not open more, even if some were sent.
    """

    message: Message
    fds: tuple[int, ...] = ()


def pair() -> tuple["Channel", "Channel"]:
    """Two connected ends. Both close on exec; after a fork, each process closes the other's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Channel(ours), Channel(theirs)


class Channel:
    """One end of a channel."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._incoming = bytearray()
        self._batches: deque[tuple[int, ...]] = deque()  # received, not taken by a frame yet
        self._outgoing: deque[tuple[memoryview, tuple[int, ...]]] = (
            deque()
        )  # the fds are duplicates
        self._gone = ""  # why no more messages can arrive

    def fileno(self) -> int:
        """The fd, for a selector; -1 after `close`."""
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether bytes wait to be written: call `flush` when the fd is writable."""
        return bool(self._outgoing)

    @property
    def is_empty(self) -> bool:
        """Whether no part of a message is buffered, in either direction."""
        return not (self._incoming or self._batches or self._outgoing or self._gone)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send, or keep for `flush`. The caller may close its ``fds`` after the call.

        Raises:
            ValueError: the message has more than MAX_BODY bytes or MAX_FDS fds.
            OSError: this process may not open that many more descriptors.
        """
        body = encode(message)
        if len(body) > MAX_BODY or len(fds) > MAX_FDS:
            raise ValueError(f"too large for a channel: {type(message).__name__}")
        frame = memoryview(_HEADER.pack(len(body), len(fds)) + body)
        self._outgoing.append((frame, _duplicate(fds)))
        self.flush()

    def flush(self) -> None:
        """Write the buffered bytes, as many as fit."""
        while self._outgoing:
            frame, fds = self._outgoing[0]
            try:
                sent = socket.send_fds(self._socket, [frame], fds)
            except (BrokenPipeError, ConnectionResetError):
                self._drop_outgoing()
                return
            except OSError as error:
                if error.errno in _FULL:
                    return
                raise
            _close_all(fds)
            if sent == len(frame):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = frame[sent:], ()

    def receive(self) -> list[Received]:
        """The complete messages that have arrived.

        Raises:
            ChannelClosed: there are none, and no more can arrive.
        """
        for _ in range(_READS):
            if self._gone or not self._read():
                break
        received = self._take_frames()
        if self._gone and not received:
            raise ChannelClosed(self._gone)
        return received

    def close(self) -> None:
        """Close this end, and every fd that no frame has taken."""
        self._gone = "closed here"
        self._drop_outgoing()
        while self._batches:
            _close_all(self._batches.popleft())
        self._socket.close()

    def _read(self) -> bool:
        """Read once. Returns whether more may be there."""
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(_READ, _ANCILLARY, _CLOEXEC)
        except BlockingIOError:
            return False
        except ConnectionResetError:  # the peer died with unread data of ours
            data, ancillary, flags = b"", [], 0
        if not data:
            self._gone = "the peer is gone"
            return False
        if ancillary or flags & socket.MSG_CTRUNC:
            self._batches.append(_own(ancillary, whole=not flags & socket.MSG_CTRUNC))
        self._incoming += data
        return True

    def _take_frames(self) -> list[Received]:
        received: list[Received] = []
        while len(self._incoming) >= _HEADER.size:
            length, count = _HEADER.unpack_from(self._incoming)
            end = _HEADER.size + length
            if length > MAX_BODY:
                self._protocol_error(f"a frame of {length} bytes")
                break
            if len(self._incoming) < end:
                break
            body = bytes(self._incoming[_HEADER.size : end])
            del self._incoming[:end]
            fds = self._batches.popleft() if count and self._batches else ()
            try:
                received.append(Received(decode(body), fds))
            except (KeyError, TypeError, ValueError):
                _close_all(fds)
                self._protocol_error(f"no message: {body[:80]!r}")
        return received

    def _protocol_error(self, why: str) -> None:
        """End the channel: both ends are of one release, so this is a defect."""
        self._gone = why
        self._incoming.clear()

    def _drop_outgoing(self) -> None:
        while self._outgoing:
            _close_all(self._outgoing.popleft()[1])


def _duplicate(fds: Sequence[int]) -> tuple[int, ...]:
    copies: list[int] = []
    try:
        for fd in fds:
            copies.append(os.dup(fd))  # noqa: PERF401 on failure, the earlier ones are closed
    except OSError:
        _close_all(copies)
        raise
    return tuple(copies)


def _own(ancillary: list[tuple[int, int, bytes]], *, whole: bool) -> tuple[int, ...]:
    """The fds of one read, with close-on-exec; none if the kernel dropped some."""
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if not whole:
        _close_all(fds)
        return ()
    for fd in fds:
        os.set_inheritable(fd, False)
    return tuple(fds)


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):  # the descriptor is closed even if close() fails
            os.close(fd)
