"""Handoff: idle connections of a draining worker go to a serving one.

The descriptor travels over the channels by way of the arbiter. This worker reads nothing from the
offer on, and closes its copy when another worker has taken it. The client notices nothing. Without
another worker, connections close between two requests.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from pyfork.http.connection.connection import Connection
from pyfork.ipc.messages import HandoffAccepted, HandoffOffer, HandoffRefused, Message
from pyfork.net.accepted import ClientSocket

log = logging.getLogger("pyfork.error")

# Simultaneous offers: nothing reads from such a client until its offer is answered.
MAX_OFFERS = 16

OFFER_RETRY = 0.05  # seconds without an offer after a refusal

Send = Callable[[Message, Sequence[int]], None]


class HandoffSender:
    """The draining worker's side. A connection is served here until it is offered."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, say: Send, alone: Callable[[], None]
    ) -> None:
        """``alone`` is called when there is no other worker, and there will be none."""
        self._loop = loop
        self._say = say
        self._alone = alone
        self._queue: dict[Connection, None] = {}  # to be offered, in order
        self._offered: dict[int, Connection] = {}
        self._number = 0
        self._resting = False
        self._nobody = False

    def offer(self, connection: Connection) -> None:
        """Offer an idle connection; the engine's ``on_idle``."""
        if self._nobody:
            self._alone()
        else:
            self._queue[connection] = None
            self._offer_queued()

    def release(self, number: int) -> None:
        """Release a connection that was taken."""
        self._offered.pop(number).finish_handoff()
        self._offer_queued()

    def keep(self, number: int, *, final: bool) -> None:
        """Keep a connection that was refused. ``final``: others will be, too."""
        connection = self._offered.pop(number)
        connection.cancel_handoff()
        if final:
            self._give_up()
        else:
            self._queue[connection] = None
            self._rest()

    def on_arbiter_lost(self) -> None:
        """Handle the loss of the arbiter: each offer has been taken, or never will be."""
        for number in list(self._offered):
            self._offered.pop(number).finish_handoff()
        self._give_up()

    def _rest(self) -> None:
        if not self._resting:
            self._resting = True
            self._loop.call_later(OFFER_RETRY, self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        self._offer_queued()

    def _offer_queued(self) -> None:
        while self._queue and len(self._offered) < MAX_OFFERS and not self._resting:
            connection = next(iter(self._queue))
            del self._queue[connection]
            if not connection.can_hand_off:  # it is offered again when it can be handed off
                continue
            connection.start_handoff()
            self._number += 1
            self._offered[self._number] = connection
            self._say(HandoffOffer(self._number), (connection.fileno(),))

    def _give_up(self) -> None:
        self._nobody = True
        self._queue.clear()
        self._alone()


class HandoffReceiver:
    """The serving worker's side."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        say: Send,
        new_connection: Callable[[ClientSocket], Connection],
    ) -> None:
        self._loop = loop
        self._say = say
        self._new_connection = new_connection
        self._opening: set[asyncio.Task[None]] = set()

    def take(self, ticket: int, fds: Sequence[int], *, willing: bool) -> None:
        """Serve the connection, or refuse it if not ``willing``."""
        clients = [ClientSocket.adopt(fd) for fd in fds]
        if not willing or len(clients) != 1:
            for client in clients:
                client.close()
            self._say(HandoffRefused(ticket), ())
            return
        task = self._loop.create_task(self._open(ticket, clients[0]))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, ticket: int, client: ClientSocket) -> None:
        protocol = self._new_connection(client)
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, client)
        except OSError as error:
            log.debug("a connection ended while it was handed off: %s", error)
            client.close()
        # Report it as taken: the client is gone, and the sender may close it too.
        self._say(HandoffAccepted(ticket), ())
