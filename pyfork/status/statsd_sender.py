"""Sends StatsD's datagrams. Nothing waits for a receiver: what it does not take is lost."""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any

from pyfork.address import Inet, Unix, parse
from pyfork.ipc.scoreboard import PID, Scoreboard
from pyfork.metrics.statsd import StatsdLines
from pyfork.record import record

log = logging.getLogger("pyfork.error")

PERIOD = 1.0  # seconds
RETRY = 10.0  # seconds until a name that did not resolve is tried again


@record
class StatsdTarget:
    """Where the metrics go, and under which names."""

    address: str
    prefix: str
    tags: str


class StatsdSender:
    """Sends the metrics of one server."""

    def __init__(self, target: StatsdTarget, board: Scoreboard) -> None:
        self._address = parse(target.address)
        self._board = board
        self._lines = StatsdLines(target.prefix, target.tags, *board.totals())
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send once a second from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Send the last figures."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._socket is not None:
            self._send()
            self._socket.close()

    async def _run(self) -> None:
        while True:
            try:
                self._socket = self._socket or await self._connect()
            except OSError as error:
                log.warning("statsd at %s: %s", self._address, error.strerror or error)
                await asyncio.sleep(RETRY)
            else:
                self._send()
                await asyncio.sleep(PERIOD)

    async def _connect(self) -> socket.socket:
        family: int
        target: Any
        if isinstance(self._address, Inet):
            loop = asyncio.get_running_loop()
            host, port = self._address.host, self._address.port
            (found, *_) = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            family, target = found[0], found[4]
        else:
            assert isinstance(self._address, Unix)
            family, target = socket.AF_UNIX, self._address.path
        end = socket.socket(family, socket.SOCK_DGRAM)
        try:
            end.setblocking(False)
            end.connect(target)
        except OSError:
            end.close()
            raise
        return end

    def _send(self) -> None:
        assert self._socket is not None
        workers = sum(pid != 0 for pid in self._board.column(PID))
        numbers, sums = self._board.totals()
        for line in self._lines.make(numbers, sums, workers):
            with suppress(OSError):  # no receiver, or its buffer is full
                self._socket.send(line)
