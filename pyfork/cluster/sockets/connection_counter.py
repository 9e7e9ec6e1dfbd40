"""The number of open connections among those that a script has accepted.

A script may close a connection by its socket, by its number, or in C. So nothing reports the end:
`scan` compares the inode behind each descriptor with the one at accept. Scanning is limited to a
tenth of the time.
"""

import os
from time import monotonic

from pyfork.cluster.sockets.fd_table import inode_of
from pyfork.ipc.scoreboard import ACCEPTED, CONNECTIONS, Row

_SCAN_RATIO = 10  # a scan is followed by a pause of that many times its duration


class ConnectionCounter:
    """Counts the connections of this process in its scoreboard row."""

    def __init__(self, row: Row) -> None:
        self._cells = row.cells
        self._open: dict[int, int] = {}  # fd -> inode; each step below is atomic for other threads
        self._next_scan = 0.0

    def on_accept(self, fd: int) -> None:
        """Count a connection that was accepted."""
        self._open[fd] = os.fstat(fd).st_ino
        cells = self._cells
        cells[CONNECTIONS] = len(self._open)
        cells[ACCEPTED] += 1

    def scan(self) -> None:
        """Drop connections that have ended, unless the last scan was just now."""
        now = monotonic()
        if now < self._next_scan:
            return
        for fd, inode in list(self._open.items()):
            if inode_of(fd) != inode:
                self._open.pop(fd, None)
        self._cells[CONNECTIONS] = len(self._open)
        done = monotonic()
        self._next_scan = done + _SCAN_RATIO * (done - now)
