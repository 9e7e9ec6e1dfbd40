"""The scoreboard: shared memory in which each worker process writes one row, and all read.

A row has one writer, the worker that it belongs to; the arbiter clears it before and after. A cell
is 8 aligned bytes, so a reader sees the old or the new number, never half of one. The activity is
text: a reader may see it half written, which spoils some letters of a log line.

Before the first row is the number of rows that were ever in use: readers of all rows stop there.
The arbiter writes it.

The hot path writes by `Row.start_request` and `Row.cells`; other callers use the attributes.

Rules: no locks, no system call after the mapping, no decisions.
"""

import mmap
import os
from enum import IntEnum
from functools import partial
from operator import add
from struct import Struct

from pyfork.ipc.metric_cells import ACCEPTED as TOTAL_ACCEPTED
from pyfork.ipc.metric_cells import (
    ANSWERED,
    BLOCK_BYTES,
    EVENTS,
    LOOP_LAG,
    RECEIVED,
    SENT,
    SEQUENCE,
    SUMS,
)
from pyfork.ipc.metric_cells import IDLE_CLOSED as TOTAL_IDLE_CLOSED
from pyfork.ipc.metric_cells import LOST as TOTAL_LOST
from pyfork.system.memfd import anonymous_file

# The cells of a row. `cells` reads them as integers, `times` as floats: seconds of CLOCK_MONOTONIC.
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
    QUEUE_TIME,
) = range(13)
# These are next to the activity: the start of a request is one write, its end another number.
REQUESTS, BEGUN, BUSY_SINCE = 13, 14, 15

DOING_BYTES = 128  # of the activity, in UTF-8

_CELLS = 16
_CELL_BYTES = _CELLS * 8
_LINE_BYTES = _CELL_BYTES + DOING_BYTES
_STRIDE = _LINE_BYTES // 8  # from a cell to the same one of the next row
_BEGINNING = Struct(f"qd{DOING_BYTES}s")


class RowState(IntEnum):
    """The state of a worker, as it writes it."""

    FREE = 0  # the row belongs to no worker
    BOOTING = 1
    SERVING = 2
    DRAINING = 3


class Accepting(IntEnum):
    """Whether a worker would accept one more connection."""

    NO = 0
    FREELY = 1  # it would serve it at once
    ON_CREDIT = 2  # its request would wait among those of other connections


class Receiving(IntEnum):
    """The connections that a worker takes out of the connection queue."""

    NOTHING = 0
    PLAIN = 1
    TLS = 2


class Scoreboard:
    """``lines`` rows, shared with every process forked later. Unused pages cost no memory.

    The memory is an anonymous file, so that it survives an exec: the new program passes its ``fd``,
    and the same number of rows.
    """

    def __init__(self, lines: int, fd: int | None = None) -> None:
        # One line more, for the head; behind the lines a block of metrics each, and one more.
        self._blocks = (1 + lines) * _LINE_BYTES
        size = self._blocks + (1 + lines) * BLOCK_BYTES
        self.fd = _new_memory(size) if fd is None else fd
        if os.fstat(self.fd).st_size < size:  # it is of a release that had no metrics
            os.ftruncate(self.fd, size)
        self._memory = memoryview(mmap.mmap(self.fd, size))  # MAP_SHARED
        self._cells = self._memory.cast("q")
        self._lines = lines

    def close_file(self) -> None:
        """Close ``fd``; the memory stays mapped."""
        os.close(self.fd)

    def __len__(self) -> int:
        return self._lines

    def row(self, index: int) -> "Row":
        """The row ``index``. Raises IndexError."""
        if not 0 <= index < self._lines:
            raise IndexError(f"the scoreboard has {self._lines} rows, no row {index}")
        start = (1 + index) * _LINE_BYTES
        return Row(self._memory[start : start + _LINE_BYTES], self._block(index))

    def _block(self, index: int) -> memoryview:
        """The metrics of line ``index``; those of workers that have ended are at -1."""
        start = self._blocks + (1 + index) * BLOCK_BYTES
        return self._memory[start : start + BLOCK_BYTES]

    @property
    def rows_used(self) -> int:
        """The number of rows, from the first on, that were ever in use."""
        return self._cells[0]

    def mark_used(self, index: int) -> None:
        """Mark a row as used. Only the arbiter calls this."""
        self._cells[0] = max(self._cells[0], index + 1)

    def column(self, cell: int) -> list[int]:
        """One cell of each row that was ever in use."""
        end = _STRIDE * (1 + self._cells[0])
        return self._cells[_STRIDE + cell : end : _STRIDE].tolist()

    def retire(self, row: "Row") -> None:
        """The arbiter's: add what the worker of ``row`` has counted to the totals, and free it."""
        block = self._block(-1)
        totals, sums = block.cast("q"), block.cast("d")
        own, own_sums = row.metrics.cast("q"), row.metrics.cast("d")
        totals[SEQUENCE] += 1
        for cell in (*range(SUMS), RECEIVED, SENT, *EVENTS):
            if own[cell]:
                totals[cell] += own[cell]
        for cell in range(SUMS, RECEIVED):
            if own[cell]:
                sums[cell] += own_sums[cell]
        for cell, number in row.counted().items():
            totals[cell] += number
        row.clear()
        totals[SEQUENCE] += 1

    def ended(self) -> memoryview:
        """The arbiter's: the block of workers that have ended, as integers."""
        return self._block(-1).cast("q")

    def totals(self) -> tuple[list[int], list[float]]:
        """The cells of all workers, living or not, as integers and, of the sums, as floats."""
        head = self._block(-1).cast("q")
        while True:
            before = head[SEQUENCE]
            found = self._sum_blocks()
            if before == head[SEQUENCE] and not before % 2:
                return found

    def _sum_blocks(self) -> tuple[list[int], list[float]]:
        retired = self._block(-1)
        numbers = retired.cast("q").tolist()
        sums: list[float] = retired.cast("d")[SUMS:RECEIVED].tolist()  # type: ignore[assignment]
        for index in range(self.rows_used):
            row = self.row(index)
            own = row.metrics.cast("q").tolist()
            for cell, number in row.counted().items():
                own[cell] = number
            if any(own):
                numbers = list(map(add, numbers, own))
                sums = list(map(add, sums, row.metrics.cast("d")[SUMS:RECEIVED].tolist()))
        return numbers, sums


def _new_memory(size: int) -> int:
    with anonymous_file("pyfork-scoreboard") as file:
        file.truncate(size)
        return os.dup(file.fileno())


def _number(cell: int, doc: str) -> property:
    def read(row: "Row") -> int:
        return row.cells[cell]

    def write(row: "Row", value: int) -> None:
        row.cells[cell] = value

    return property(read, write, doc=doc)


def _time(cell: int, doc: str) -> property:
    def read(row: "Row") -> float:
        return row.times[cell]

    def write(row: "Row", value: float) -> None:
        row.times[cell] = value

    return property(read, write, doc=doc)


class Row:
    """The row of one worker: a view on the shared memory, all zero when free."""

    __slots__ = ("_doing", "cells", "metrics", "start_request", "times")

    def __init__(self, memory: memoryview, metrics: memoryview) -> None:
        self.metrics = metrics  # a block of `metric_cells`
        numbers = memory[:_CELL_BYTES]
        self.cells = numbers.cast("q")
        self.times = numbers.cast("d")
        self._doing = memory[_CELL_BYTES:]
        # For the hot path, without a call of Python code: sets the number of requests that have
        # begun, ``busy_since`` and, in ASCII, the activity.
        self.start_request = partial(_BEGINNING.pack_into, memory, BEGUN * 8)

    pid = _number(PID, "Process id.")
    slot = _number(SLOT, "Slot 0..N-1.")
    generation = _number(GENERATION, "Generation of code and config.")
    connections = _number(CONNECTIONS, "Open client connections.")
    requests = _number(REQUESTS, "Requests answered since the start.")
    busy_since = _time(BUSY_SINCE, "When the oldest running request began; 0 = none runs.")
    deadline = _time(
        DEADLINE, "The heartbeat deadline: the worker moves it before it passes; 0 = none."
    )
    accepting = _number(ACCEPTING, "An `Accepting`: whether it would accept one more connection.")
    accepted = _number(ACCEPTED, "Connections accepted since the start.")

    held = _number(HELD, "1: application code has held its loop for --busy-after.")
    queue_time = _time(
        QUEUE_TIME,
        "Seconds of the longest wait in the last 10 s, if measured.",
    )
    idle_closed = _number(IDLE_CLOSED, "Idle connections closed to make room, since the start.")
    lost = _number(LOST, "Log lines that could not be written since the start.")

    @property
    def in_flight(self) -> int:
        """The number of requests that run in the application."""
        return max(0, self.cells[BEGUN] - self.cells[REQUESTS])

    @in_flight.setter
    def in_flight(self, value: int) -> None:
        self.cells[BEGUN] = self.cells[REQUESTS] + value

    @property
    def state(self) -> RowState:
        """The state of the worker."""
        return RowState(self.cells[STATE])

    @state.setter
    def state(self, value: RowState) -> None:
        self.cells[STATE] = value

    @property
    def activity(self) -> str:
        """Method and path of the last request, cut to DOING_BYTES; empty when idle."""
        return bytes(self._doing).partition(b"\0")[0].decode(errors="replace")

    @activity.setter
    def activity(self, text: str) -> None:
        self._doing[:] = text.encode(errors="replace")[:DOING_BYTES].ljust(DOING_BYTES, b"\0")

    def count(self, cell: int) -> None:
        """Add one to a cell of `metric_cells`, for what is no request."""
        self.metrics.cast("q")[cell] += 1

    @property
    def loop_lag(self) -> float:
        """Seconds by which a timer of the loop was late, the most of the last 10 s."""
        return self.metrics.cast("d")[LOOP_LAG]

    @loop_lag.setter
    def loop_lag(self, value: float) -> None:
        self.metrics.cast("d")[LOOP_LAG] = value

    def clear(self) -> None:
        """Free the row."""
        self.cells[:] = memoryview(bytes(_CELL_BYTES)).cast("q")
        self._doing[:] = bytes(DOING_BYTES)
        self.metrics[:] = bytes(BLOCK_BYTES)

    def counted(self) -> dict[int, int]:
        """The counts of the row, by the cell of a block that has their sum."""
        return {
            TOTAL_ACCEPTED: self.cells[ACCEPTED],
            ANSWERED: self.cells[REQUESTS],
            TOTAL_IDLE_CLOSED: self.cells[IDLE_CLOSED],
            TOTAL_LOST: self.cells[LOST],
        }
