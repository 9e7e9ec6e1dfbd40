"""Queue time: how long a request was there before its application code began.

It is measured where --max-queue-time or the access log asks for it. Linux knows when the last data
of a TCP connection arrived, in the kernel's ticks (1 to 10 ms): a wait in the listen queue, for a
loop, in another worker or for a thread is in it. Elsewhere the time begins with the turn of the
loop in which the request was read. A trusted proxy may name an earlier time.

Rules: a request is judged once, when its application code would begin.
"""

import asyncio
import logging
import re
import socket
import sys
from collections import deque
from collections.abc import Sequence
from math import ceil
from struct import Struct
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from pyfork.ipc.scoreboard import Row

if TYPE_CHECKING:
    from pyfork.http.connection.connection import Connection
    from pyfork.http.connection.response_writer import ResponseWriter

log = logging.getLogger("pyfork.error")

LATE = b"Service Unavailable\n"  # the content of the response to a late request

# struct tcp_info of linux/tcp.h: eight bytes, eleven words, and milliseconds since the last data.
_LAST_DATA = Struct("=52xI")
_HAS_TCP_INFO = sys.platform == "linux"

_FIELD = re.compile(rb"^x-(?:request|queue)-start:(.*)", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(rb"[0-9]{9,19}(?:\.[0-9]{1,9})?")
_SECONDS = 10  # of which the longest wait is published
_OLDEST = 3600.0  # seconds; what is older comes from a clock that is wrong


class QueueTime:
    """The queue times of one worker."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, row: Row, *, limit: float, priority: Sequence[str]
    ) -> None:
        """``limit`` in seconds is --max-queue-time, ``priority`` the paths that have none."""
        self._loop = loop
        self._row = row
        self._limit = limit
        paths = [each.encode() for each in priority]
        self._paths = frozenset(each for each in paths if not each.endswith(b"*"))
        self._prefixes = tuple(each[:-1] for each in paths if each.endswith(b"*"))
        self._turn_began: float | None = None  # monotonic seconds
        self._longest = deque([0.0], maxlen=_SECONDS)  # in each of the last seconds
        self._refused = 0  # since the last tick
        length = str(len(LATE))
        self.headers = [
            ("Content-Type", "text/plain"),
            ("Content-Length", length),
            ("Retry-After", str(max(1, ceil(limit)))),
        ]

    def arrival(self, exchange: "ResponseWriter") -> float:
        """Return when the request was complete, or its head, in monotonic seconds."""
        connection, now = exchange.connection, monotonic()
        waited = _since_last_data(connection)
        if waited is None:
            waited = now - self._turn(now)
        if connection.trusted:
            named = request_start(exchange.head.block.text)
            if named is not None and 0 < (age := time() - named) < _OLDEST:
                waited = max(waited, age)
        return now - waited

    def is_late(self, exchange: "ResponseWriter") -> bool:
        """Whether a request has waited for longer than it may."""
        waited = exchange.queue_time
        if not self._limit or waited is None or waited <= self._limit:
            return False
        path = exchange.head.path
        return not (path in self._paths or path.startswith(self._prefixes))

    def record(self, waited: float, *, refused: bool) -> None:
        """Count a request. Called in the loop."""
        self._longest[-1] = max(self._longest[-1], waited)
        self._refused += refused

    def tick(self) -> None:
        """Publish, and log what was refused. Called once a second."""
        self._row.queue_time = max(self._longest)
        self._longest.append(0.0)
        if refused := self._refused:
            self._refused = 0
            one = refused == 1
            log.warning(
                "%s answered with 503: %s waited longer than --max-queue-time %g s",
                "a request was" if one else f"{refused} requests were",
                "it had" if one else "they had",
                self._limit,
            )

    def _turn(self, now: float) -> float:
        """Return when this turn of the loop read its first request."""
        if self._turn_began is None:
            self._turn_began = now
            self._loop.call_soon(self._turn_ended)
        return self._turn_began

    def _turn_ended(self) -> None:
        self._turn_began = None


def timed(kind: type, base: Any, clock: QueueTime) -> type:
    """Return the class ``base`` of exchanges with the methods of ``kind``, which has a clock."""
    return type(base.__name__, (kind, base), {"clock": clock})


def request_start(fields: bytes) -> float | None:
    """Return the time in X-Request-Start or X-Queue-Start, in seconds since 1970; None without.

    Proxies write it in seconds, milliseconds, microseconds or nanoseconds, some behind ``t=``. The
    last number counts: the nearest proxy appends.
    """
    lines = _FIELD.findall(fields)
    numbers = _NUMBER.findall(lines[-1]) if lines else ()
    if not numbers:
        return None
    found, unit = float(numbers[-1]), 1
    while found / unit > 1e11:  # the year 5138 in seconds; the year 1973 in milliseconds
        unit *= 1000
    return found / unit


def _since_last_data(connection: "Connection") -> float | None:
    """Return the seconds since the last data of a TCP connection; None if unknown."""
    if not (_HAS_TCP_INFO and connection.peer_host):  # a unix socket's peer has no address
        return None
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=connection.fileno())
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
    except OSError:  # the connection has ended
        return None
    finally:
        sock.detach()
    return float(_LAST_DATA.unpack(info)[0]) / 1000 if len(info) == _LAST_DATA.size else None
