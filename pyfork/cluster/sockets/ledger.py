"""How many connections a script has open, of those that it has accepted.

A script closes them in many ways: by their sockets, by the number, in C. So it is not told here,
but seen: a descriptor that leads to another socket than it did, or to none, is one that ended.
Looking takes time where there are many, and is done for a tenth of it at most.
"""

import os
from time import monotonic

from pyfork.ipc.scoreboard import ACCEPTED, CONNECTIONS, Row

_SPARE = 10  # times as long as a look took until the next one


class ConnectionCounter:
    """The connections of this process, on its line of the scoreboard."""

    def __init__(self, line: Row) -> None:
        self._cells = line.cells
        self._open: dict[int, int] = {}  # fd -> inode; each step below is whole, for any thread
        self._next_scan = 0.0

    def on_accept(self, fd: int) -> None:
        """A connection was accepted."""
        self._open[fd] = os.fstat(fd).st_ino
        cells = self._cells
        cells[CONNECTIONS] = len(self._open)
        cells[ACCEPTED] += 1

    def scan(self) -> None:
        """See which have ended, unless that was done just now."""
        now = monotonic()
        if now < self._next_scan:
            return
        for fd, inode in list(self._open.items()):
            if _inode(fd) != inode:
                self._open.pop(fd, None)
        self._cells[CONNECTIONS] = len(self._open)
        done = monotonic()
        self._next_scan = done + _SPARE * (done - now)


def _inode(fd: int) -> int:
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0
