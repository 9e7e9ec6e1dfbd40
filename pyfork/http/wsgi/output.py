"""The unsent output of a response: content that the client has not taken.

It is kept in memory, and beyond that in an anonymous temporary file. The application waits only
when both are full. No application code runs here, and no content is framed.

Two policies have the same interface. `DirectOutput` writes to the socket in the calling thread,
which is the loop's. `QueuedOutput` takes bytes in a thread of the pool and passes them to the
loop. `drain` is called by the loop in both.
"""

import asyncio
import logging
import os
import select
import threading
from collections.abc import Callable
from time import monotonic
from typing import IO, TYPE_CHECKING, Protocol

from pyfork.http.errors import ClientGone

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection

log = logging.getLogger("pyfork.error")

SLAB = 64 * 1024  # bytes read back from memory or file at a time

SHARES = 64  # connections of a worker that may fill their memory at the same time

_LOOK = 1000  # milliseconds between two checks of the clock while a client takes nothing


def call_in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Call in the loop, from another thread. Raises ClientGone after the end of the loop."""
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        if not loop.is_closed():
            raise
        raise ClientGone("the worker has ended") from None


class BufferSpace:
    """The space for unsent output of a worker, in bytes. Shared by threads."""

    def __init__(self, *, each: int, spool: int) -> None:
        """``each``: in memory for one response; ``spool``: in files for all of them."""
        self.each = each
        self.memory = each * SHARES  # free memory for all responses
        self.spool = spool  # free space in files
        self._lock = threading.Lock()

    def take_memory(self, wanted: int) -> int:
        """Reserve up to ``wanted`` bytes of memory. Returns how many."""
        with self._lock:
            had = min(wanted, self.memory)
            self.memory -= had
        return had

    def take_spool(self, wanted: int) -> int:
        """Reserve up to ``wanted`` bytes in files. Returns how many."""
        with self._lock:
            had = min(wanted, self.spool)
            self.spool -= had
        return had

    def give_back(self, *, memory: int = 0, spool: int = 0) -> None:
        """Free reserved space."""
        with self._lock:
            self.memory += memory
            self.spool += spool


class Unsent:
    """Bytes in order; ``len`` is their number. An empty one costs nothing."""

    __slots__ = ("_file", "_memory", "_read", "_room", "_written")

    def __init__(self, room: BufferSpace) -> None:
        self._room = room
        self._memory = bytearray()
        # The file follows the memory. Its space is freed when all of it has been read.
        self._file: IO[bytes] | None = None
        self._read = 0
        self._written = 0

    def __len__(self) -> int:
        return len(self._memory) + self._written - self._read

    def keep(self, data: bytes | memoryview) -> int:
        """Append as much of ``data`` as there is space for. Returns the number of bytes."""
        kept = 0
        if self._file is None:
            room = self._room
            kept = room.take_memory(min(len(data), max(0, room.each - len(self._memory))))
            self._memory += data[:kept]
        if kept < len(data):
            kept += self._spool(memoryview(data)[kept:])
        return kept

    def peek(self) -> bytes:
        """Return the oldest bytes, SLAB at most; b"" if empty. Raises OSError."""
        if self._memory:
            return bytes(self._memory[:SLAB])
        if self._file is None:
            return b""
        return os.pread(self._file.fileno(), min(SLAB, self._written - self._read), self._read)

    def drop(self, count: int) -> None:
        """Drop the first ``count`` bytes of `peek`: they were sent."""
        if self._memory:
            del self._memory[:count]
            self._room.give_back(memory=count)
            return
        self._read += count
        if self._read == self._written:
            self._close_file()

    def clear(self) -> None:
        """Drop everything."""
        self._room.give_back(memory=len(self._memory))
        self._memory.clear()
        self._close_file()

    def _spool(self, data: memoryview) -> int:
        room = self._room
        had = room.take_spool(len(data))
        written = 0
        try:
            if had and self._file is None:
                import tempfile  # rarely needed

                self._file = tempfile.TemporaryFile(  # noqa: SIM115 - closed when it is read
                    prefix="pyfork-response-", buffering=0
                )
            while self._file is not None and written < had:
                count = os.pwrite(self._file.fileno(), data[written:had], self._written)
                written += count
                self._written += count
        except OSError as error:  # as without space: the application waits
            log.warning("no room for unsent output in a temporary file: %s", error)
        room.give_back(spool=had - written)
        return written

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._room.give_back(spool=self._written)
            self._file = None
            self._read = self._written = 0


def _pour(unsent: Unsent, connection: "Connection") -> bool:
    """Give the transport what it takes, in the loop. Returns whether nothing is left."""
    try:
        while unsent and not connection.write_paused:
            piece = unsent.peek()
            unsent.drop(len(piece))
            connection.write(piece)
    except OSError as error:
        log.error("unsent output cannot be read back: %s", error)
        connection.abort()
    return not unsent


class ResponseBuffer(Protocol):
    """The output of a response."""

    def __len__(self) -> int:
        """Return the bytes that neither the socket nor the transport has."""

    def write(self, data: bytes) -> None:
        """Send or keep ``data``, from the application's thread. Raises ClientGone."""

    def drain(self) -> bool:
        """Give the transport what it takes, in the loop. Returns whether nothing is left."""

    def abandon(self) -> None:
        """Drop everything, in the loop: the client is gone."""


class DirectOutput:
    """Writes in the loop's thread, which does nothing else meanwhile.

    Each piece goes directly to the socket, not to the transport, whose buffer only the loop can
    empty. So that buffer stays empty until the application returns.
    """

    __slots__ = (
        "_alive",
        "_connection",
        "_limit",
        "_progress",
        "_room",
        "_taken",
        "_unsent",
        "_write_now",
    )

    def __init__(
        self,
        connection: "Connection",
        room: BufferSpace,
        *,
        limit: float,
        progress: float,
        alive: Callable[[], None],
    ) -> None:
        """In ``limit`` seconds a client must take ``progress`` bytes while the thread waits for
        it.

        ``alive`` is called about once a second meanwhile.
        """
        self._connection = connection
        self._write_now = connection.write_now
        self._unsent: Unsent | None = None  # made when the socket does not take everything
        self._room = room
        self._limit = limit
        self._progress = progress
        self._alive = alive
        self._taken = 0  # bytes, while the thread waits

    def __len__(self) -> int:
        return len(self._unsent) if self._unsent is not None else 0

    def write(self, data: bytes) -> None:
        if self._connection.lost:
            raise ClientGone("the client has gone")
        unsent = self._unsent
        if unsent is None:
            try:
                sent = self._write_now(data)
            except OSError as error:
                raise ClientGone(str(error)) from error
            if sent == len(data):
                return
            unsent = self._unsent = Unsent(self._room)
        else:
            sent = self._offer(unsent, data)
        rest = memoryview(data)[sent:]
        rest = rest[unsent.keep(rest) :]
        if rest:
            self._wait(unsent, rest)

    def drain(self) -> bool:
        return self._unsent is None or _pour(self._unsent, self._connection)

    def abandon(self) -> None:
        if self._unsent is not None:
            self._unsent.clear()

    def _offer(self, unsent: Unsent, data: bytes | memoryview) -> int:
        """Write older bytes, then ``data``. Returns how much of ``data`` was taken."""
        try:
            while unsent:
                piece = unsent.peek()
                sent = self._write_now(piece)
                self._taken += sent
                unsent.drop(sent)
                if sent < len(piece):
                    return 0
            sent = self._write_now(data)
            self._taken += sent
            return sent
        except OSError as error:
            raise ClientGone(str(error)) from error

    def _wait(self, unsent: Unsent, rest: memoryview) -> None:
        """Wait for space for ``rest``. Raises ClientGone if that takes too long."""
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLOUT)
        since, self._taken = monotonic(), 0
        while rest:
            if poll.poll(_LOOK):
                rest = rest[self._offer(unsent, rest) :]
                rest = rest[unsent.keep(rest) :]
            now = monotonic()
            self._alive()
            if self._taken >= self._progress:
                since, self._taken = now, 0
            elif now - since > self._limit:
                raise ClientGone(f"the client has read next to nothing for {self._limit:.0f} s")


class QueuedOutput:
    """Takes bytes in a thread of the pool; the loop writes them to the transport."""

    __slots__ = ("_changed", "_connection", "_gone", "_scheduled", "_unsent")

    def __init__(self, connection: "Connection", room: BufferSpace) -> None:
        self._connection = connection
        self._unsent = Unsent(room)
        self._changed = threading.Condition(threading.Lock())
        self._scheduled = False  # the loop knows that there are bytes
        self._gone = False

    def __len__(self) -> int:
        return len(self._unsent)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        with self._changed:
            while True:
                if self._gone:
                    raise ClientGone("the client has gone")
                rest = rest[self._unsent.keep(rest) :]
                if not self._scheduled:
                    self._scheduled = True
                    call_in_loop(self._connection.engine.loop, self.drain)
                if not rest:
                    return
                self._changed.wait()

    def drain(self) -> bool:
        with self._changed:
            empty = _pour(self._unsent, self._connection)
            self._scheduled = not empty  # the transport will call when it has room
            self._changed.notify()
            return empty

    def abandon(self) -> None:
        with self._changed:
            self._gone = True
            self._unsent.clear()
            self._changed.notify()
