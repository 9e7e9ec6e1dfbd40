"""A request body, buffered before a WSGI application is called: in memory, then in a file."""

import io
import sys
from collections import deque
from typing import IO

SMALL = 64 * 1024  # bytes that each body may have in memory, whatever the others have
_STEP = 256 * 1024  # bytes that are reserved at a time beyond that
_IN_FILE = sys.maxsize  # the limit of a body that is in a file
_TINY = 2048  # bytes; smaller pieces are joined


def keep(pieces: list[bytes], data: bytes) -> None:
    """Append ``data`` to ``pieces`` that will be joined.

    Each tiny piece of a client would cost an object, 25 times as much memory. Small pieces are
    joined at once, which copies 2 KiB at most.
    """
    if pieces and len(data) < _TINY and len(pieces[-1]) < _TINY:
        pieces[-1] += data
    else:
        pieces.append(data)


class BodyMemory:
    """The memory of a worker for bodies beyond `SMALL` each, in bytes.

    The loop's thread takes. Any thread gives back, also within a garbage collection that
    interrupts `take`: so there is no lock, and an append is all that it does.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._returned: deque[int] = deque()

    def take(self, wanted: int) -> bool:
        """Reserve ``wanted`` bytes, or nothing."""
        while self._returned:
            self._left += self._returned.popleft()
        if wanted > self._left:
            return False
        self._left -= wanted
        return True

    def give_back(self, count: int) -> None:
        """Free what was reserved."""
        self._returned.append(count)


class _Reservation:
    """Bytes of the memory, given back when this is freed: also of a request without a turn."""

    __slots__ = ("memory", "size")

    def __init__(self, memory: BodyMemory) -> None:
        self.memory = memory
        self.size = 0

    def __del__(self) -> None:
        self.memory.give_back(self.size)


class SpooledBody:
    """Collects pieces; returns a file.

    Each piece is copied once, to one buffer that grows: a list of them that is joined takes fresh
    pages of memory for each request, which costs more than all the rest.
    """

    __slots__ = ("_first", "_gathered", "_limit", "_memory", "_reservation", "_size")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._reservation: _Reservation | None = None
        self._limit = SMALL  # bytes that it may have in memory
        self._size = 0
        self._first = b""  # which often is all
        self._gathered: IO[bytes] | None = None

    def add(self, data: bytes) -> None:
        """Append ``data``. Raises OSError if the temporary directory is full."""
        if not self._size:
            self._first = data
        elif self._gathered is not None:
            self._gathered.write(data)
        else:
            self._gathered = io.BytesIO()
            self._gathered.write(self._first)
            self._gathered.write(data)
            self._first = b""
        self._size += len(data)
        if self._size > self._limit:
            self._reserve()

    def __len__(self) -> int:
        return self._size

    def open(self) -> IO[bytes]:
        """Return the whole body as a file, for ``wsgi.input``."""
        if self._gathered is None:
            return io.BytesIO(self._first)
        self._gathered.seek(0)
        return self._gathered

    def close(self) -> None:
        """Close the file, if there is one, and free what was reserved."""
        if self._limit == _IN_FILE and self._gathered is not None:
            self._gathered.close()
        self._reservation = None

    def _reserve(self) -> None:
        """Have memory for what there is, or go to a file."""
        wanted = max(_STEP, self._size - self._limit)
        if self._memory.take(wanted):
            if self._reservation is None:
                self._reservation = _Reservation(self._memory)
            self._reservation.size += wanted
            self._limit += wanted
            return
        import tempfile  # most workers never see a large body

        file = tempfile.TemporaryFile(prefix="pyfork-body-")  # noqa: SIM115
        with self.open() as gathered:
            file.write(gathered.read())
        self._first, self._gathered, self._limit = b"", file, _IN_FILE
        self._reservation = None
