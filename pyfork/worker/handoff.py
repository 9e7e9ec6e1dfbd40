"""Handoff: idle connections of a retiring worker go to one that serves on.

The fd travels over the channels, by way of the arbiter; this worker reads nothing of it from the
offer on, and closes its own copy when somebody has said that it is served there. The client
notices nothing. What cannot be handed off is closed between two requests.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence

from pyfork.http.connection import Connection
from pyfork.ipc.messages import Declined, Message, Offered, Taken

log = logging.getLogger("pyfork.error")

# Offers on their way at a time: each holds fds in kernel buffers, which are counted.
WINDOW = 64

RETRY = 0.05  # seconds until a connection that was declined is offered again
TRIES = 20

Say = Callable[[Message, Sequence[int]], None]


class Giver:
    """The retiring worker's side."""

    def __init__(self, loop: asyncio.AbstractEventLoop, say: Say) -> None:
        self._loop = loop
        self._say = say
        self._queue: deque[Connection] = deque()
        self._offered: dict[int, Connection] = {}
        self._tries: dict[int, int] = {}  # by connection; of those that were declined
        self._number = 0
        self._nobody = False  # there is no other worker, and there will be none

    def give(self, connection: Connection) -> None:
        """Offer an idle connection; the engine's ``part``."""
        if self._nobody:
            connection.close_idle()
            return
        connection.hold()
        self._queue.append(connection)
        self._pump()

    def release(self, number: int) -> None:
        """It was taken."""
        connection = self._offered.pop(number)
        self._tries.pop(id(connection), None)
        connection.release()
        self._pump()

    def keep(self, number: int, *, final: bool) -> None:
        """It was not taken. ``final``: nor will another be."""
        connection = self._offered.pop(number)
        tries = self._tries[id(connection)] = self._tries.get(id(connection), 0) + 1
        if final or tries >= TRIES:
            self._nobody = self._nobody or final
            self._tries.pop(id(connection), None)
            connection.keep()
            connection.close_idle()
            self._give_up_queue()
        else:
            self._loop.call_later(RETRY, self._again, connection)
        self._pump()

    def lost(self) -> None:
        """The arbiter is gone: whoever was offered has been taken, or never will be."""
        self._nobody = True
        for number in list(self._offered):
            self.release(number)
        self._give_up_queue()

    def _again(self, connection: Connection) -> None:
        self._queue.append(connection)
        self._pump()

    def _pump(self) -> None:
        while self._queue and len(self._offered) < WINDOW:
            connection = self._queue.popleft()
            if connection.lost:
                self._tries.pop(id(connection), None)
                continue
            self._number += 1
            self._offered[self._number] = connection
            self._say(Offered(self._number), (connection.fileno(),))

    def _give_up_queue(self) -> None:
        while self._nobody and self._queue:
            connection = self._queue.popleft()
            connection.keep()
            connection.close_idle()


class Taker:
    """The serving worker's side."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        say: Say,
        new_connection: Callable[[], Connection],
    ) -> None:
        self._loop = loop
        self._say = say
        self._new_connection = new_connection
        self._opening: set[asyncio.Task[None]] = set()

    def take(self, ticket: int, fds: Sequence[int], *, willing: bool) -> None:
        """Serve the connection on; or, not ``willing``, decline it."""
        clients = [socket.socket(fileno=fd) for fd in fds]
        if not willing or len(clients) != 1:
            for client in clients:
                client.close()
            self._say(Declined(ticket), ())
            return
        task = self._loop.create_task(self._open(ticket, clients[0]))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, ticket: int, client: socket.socket) -> None:
        client.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._new_connection, client)
        except OSError as error:
            log.debug("a connection ended while it was handed off: %s", error)
            client.close()
        # Taken all the same: the client is gone, and the giver may forget it too.
        self._say(Taken(ticket), ())
