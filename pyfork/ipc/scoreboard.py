"""The scoreboard: shared memory in which every worker process writes one line and all may read.

A line has one writer, the worker that it was allotted to; the arbiter clears it before and after.
A cell is 8 aligned bytes, so a reader sees the old or the new number, never half of one; ``doing``
is text and may be seen torn, which costs a line of the log some letters.

Before the first line stands how many lines from the first on were ever in use; the arbiter writes
it, and whoever looks at all lines need not look further.

The hot path writes by `Row.begin` and `Row.cells`; the attributes are for everybody else.

Rules: no locks, no system call after the first, no decisions.
"""

import mmap
import os
from enum import IntEnum
from functools import partial
from struct import Struct

from pyfork.system.memfd import anonymous_file

# Cells of a line. `cells` reads them as integers, `times` as floats: seconds of CLOCK_MONOTONIC.
(
    PID,
    SLOT,
    GENERATION,
    STATE,
    CONNECTIONS,
    DEADLINE,
    ACCEPTING,
    ACCEPTED,
    LOST,
    IDLE_CLOSED,
    RECEIVING,
    HELD,
) = range(12)
# The last ones stand before ``doing``: what the beginning of a request changes is written in one
# go, and its end is one number.
REQUESTS, BEGUN, BUSY_SINCE = 13, 14, 15

DOING_BYTES = 128  # longest ``doing``, in UTF-8

_CELLS = 16
_CELL_BYTES = _CELLS * 8
_LINE_BYTES = _CELL_BYTES + DOING_BYTES
_STRIDE = _LINE_BYTES // 8  # from a cell to the same one of the next line
_BEGINNING = Struct(f"qd{DOING_BYTES}s")


class RowState(IntEnum):
    """What a worker is at."""

    FREE = 0  # the line belongs to no worker
    BOOTING = 1
    SERVING = 2
    DRAINING = 3


class Accepting(IntEnum):
    """Whether a worker would take one connection more."""

    NO = 0
    FREELY = 1  # and serve it at once
    ON_CREDIT = 2  # as a peer of the connections whose requests wait


class Receiving(IntEnum):
    """What a worker takes out of the connection queue."""

    NOTHING = 0
    PLAIN = 1
    TLS = 2


class Scoreboard:
    """``lines`` lines, shared with every process forked after this. Unused pages cost nothing.

    The memory is a nameless file, so that it outlives an exec: ``fd`` is that file, and given
    back with the same number of lines it is the same scoreboard.
    """

    def __init__(self, lines: int, fd: int | None = None) -> None:
        size = (1 + lines) * _LINE_BYTES  # one for the head
        self.fd = _new_memory(size) if fd is None else fd
        self._memory = memoryview(mmap.mmap(self.fd, size))  # MAP_SHARED
        self._cells = self._memory.cast("q")
        self._lines = lines

    def close_file(self) -> None:
        """Close ``fd``; the memory stays."""
        os.close(self.fd)

    def __len__(self) -> int:
        return self._lines

    def line(self, index: int) -> "Row":
        """Line ``index``; IndexError beyond the last one."""
        if not 0 <= index < self._lines:
            raise IndexError(f"the scoreboard has {self._lines} lines, no line {index}")
        start = (1 + index) * _LINE_BYTES
        return Row(self._memory[start : start + _LINE_BYTES])

    @property
    def rows_used(self) -> int:
        """How many lines, from the first on, were ever in use."""
        return self._cells[0]

    def mark_used(self, index: int) -> None:
        """The arbiter's: line ``index`` is in use from now on."""
        self._cells[0] = max(self._cells[0], index + 1)

    def column(self, cell: int) -> list[int]:
        """One cell of each line that was ever in use."""
        end = _STRIDE * (1 + self._cells[0])
        return self._cells[_STRIDE + cell : end : _STRIDE].tolist()


def _new_memory(size: int) -> int:
    with anonymous_file("pyfork-scoreboard") as file:
        file.truncate(size)
        return os.dup(file.fileno())


def _number(cell: int, doc: str) -> property:
    def read(line: "Row") -> int:
        return line.cells[cell]

    def write(line: "Row", value: int) -> None:
        line.cells[cell] = value

    return property(read, write, doc=doc)


def _time(cell: int, doc: str) -> property:
    def read(line: "Row") -> float:
        return line.times[cell]

    def write(line: "Row", value: float) -> None:
        line.times[cell] = value

    return property(read, write, doc=doc)


class Row:
    """One worker's line: a view on shared memory, all zero when free."""

    __slots__ = ("_doing", "cells", "start_request", "times")

    def __init__(self, memory: memoryview) -> None:
        numbers = memory[:_CELL_BYTES]
        self.cells = numbers.cast("q")
        self.times = numbers.cast("d")
        self._doing = memory[_CELL_BYTES:]
        # For the hot path, without a call of Python: set how many requests have begun,
        # ``busy_since`` and, in ASCII, ``doing``.
        self.start_request = partial(_BEGINNING.pack_into, memory, BEGUN * 8)

    pid = _number(PID, "Process id.")
    slot = _number(SLOT, "Slot 0..N-1.")
    generation = _number(GENERATION, "Generation of code and config.")
    connections = _number(CONNECTIONS, "Open client connections.")
    requests = _number(REQUESTS, "Requests answered since birth.")
    busy_since = _time(BUSY_SINCE, "When the oldest running request began, if there is one.")
    deadline = _time(DEADLINE, "The worker promises to move this before it passes; 0 = no promise.")
    accepting = _number(ACCEPTING, "An `Accepting`: whether it would take one connection more.")
    accepted = _number(ACCEPTED, "Connections that it has accepted since birth.")

    held = _number(HELD, "1: application code has held its loop for --busy-after.")
    idle_closed = _number(IDLE_CLOSED, "Idle connections closed to make room, since birth.")
    lost = _number(LOST, "Log lines that could not be written since birth.")

    @property
    def in_flight(self) -> int:
        """Requests that the application is working on."""
        return max(0, self.cells[BEGUN] - self.cells[REQUESTS])

    @in_flight.setter
    def in_flight(self, value: int) -> None:
        self.cells[BEGUN] = self.cells[REQUESTS] + value

    @property
    def state(self) -> RowState:
        """What the worker is at."""
        return RowState(self.cells[STATE])

    @state.setter
    def state(self, value: RowState) -> None:
        self.cells[STATE] = value

    @property
    def activity(self) -> str:
        """Method and path of what runs, cut to DOING_BYTES; empty when idle."""
        return bytes(self._doing).partition(b"\0")[0].decode(errors="replace")

    @activity.setter
    def activity(self, text: str) -> None:
        self._doing[:] = text.encode(errors="replace")[:DOING_BYTES].ljust(DOING_BYTES, b"\0")

    def clear(self) -> None:
        """Free the line."""
        self.cells[:] = memoryview(bytes(_CELL_BYTES)).cast("q")
        self._doing[:] = bytes(DOING_BYTES)
