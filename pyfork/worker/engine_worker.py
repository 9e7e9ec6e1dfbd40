"""The base of the WSGI and the ASGI worker: an engine and an acceptor."""

import logging
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, starmap
from typing import TYPE_CHECKING

from pyfork.dispatch.least import LeastConnections
from pyfork.http.asgi.gateway import AsgiGateway
from pyfork.http.connection.application_section import ApplicationSection
from pyfork.http.connection.connection import Connection
from pyfork.http.connection.engine import Engine, Upgrade
from pyfork.http.connection.metered import MeteredEngine
from pyfork.http.connection.timeouts.deadlines import Timeouts
from pyfork.http.connection.timeouts.sweep import sweep
from pyfork.http.wsgi.gateway import WsgiGateway
from pyfork.ipc.connection_queue import MAX_DATA, Given
from pyfork.ipc.messages import (
    AddListeners,
    HandoffDone,
    HandoffFailed,
    HandoffTake,
    Message,
    RemoveListeners,
)
from pyfork.ipc.metric_cells import HANDED_OFF
from pyfork.log.access_format import needs_queue_time
from pyfork.net.accepted import Client, ClientSocket
from pyfork.worker import hooks
from pyfork.worker.accept.acceptor import Acceptor
from pyfork.worker.accept.room import ConnectionRoom
from pyfork.worker.base import BaseWorker
from pyfork.worker.offload.evening import Evening
from pyfork.worker.offload.handoff import HandoffReceiver, HandoffSender
from pyfork.worker.offload.opening import Opening
from pyfork.worker.offload.receiver import QueueReceiver

if TYPE_CHECKING:
    from pyfork.config.config import Config
    from pyfork.http.connection.queue_time import QueueTime
    from pyfork.http.tls.handshakes import Handshakes
    from pyfork.http.tls.transport import TlsTransport
    from pyfork.worker.offload.loop_probe import LoopProbe
    from pyfork.worker.offload.offloader import Movable, Offloader

log = logging.getLogger("pyfork.error")

# Seconds before the end of a drain in which idle connections are closed that could not be handed
# off. A client that sends a request at that moment gets its response.
CLOSE_IDLE_BEFORE_END = 2.0


class EngineWorker(BaseWorker):
    """A worker that serves with pyfork's own engine."""

    dispatches = ("least", "shared", "round-robin", "reuseport")
    connection_class = Connection
    engine: Engine[Connection]
    acceptor: Acceptor

    @classmethod
    def later_modules(cls, config: "Config") -> Iterator[str]:
        yield "pyfork.worker.offload.offloader"
        if config.certfile:
            yield "pyfork.http.tls.connection"
            yield "pyfork.http.tls.gateways"
            yield "pyfork.http.tls.handshakes"

    def set_up(
        self, gateway: WsgiGateway | AsgiGateway, *, upgrade: Upgrade[Connection] | None = None
    ) -> None:
        """Build the engine and the acceptor for ``gateway``."""
        config = self.config
        if config.request_id:
            from pyfork.http import request_ids

            request_ids.install(gateway, config.request_id, asgi=self.interface == "asgi")
        engine = MeteredEngine if config.status_bind or config.statsd_host else Engine
        self.engine = engine(
            config,
            loop=self.loop,
            row=self.row,
            gateway=gateway,
            upgrade=upgrade,
        )
        self._queue_time = self._measure_queue_time()
        if config.live and config.reload:
            from pyfork.dev import live

            live.install(self.engine, self.args, self.draining)
        self.engine.connections_changed = self.connections_changed
        self.engine.on_timeout = self.request_recycle
        if self.args.hook_worker is not None:
            hooks.after_engine(self.args.hook_worker, self.engine, self.app)
        if config.max_requests:
            import random  # a millisecond that other starts save

            self.engine.wear_after = config.max_requests + random.randint(
                0, config.max_requests_jitter
            )
            self.engine.on_recycle = self._worn_out
        self._handshakes = self._begin_tls()
        room = ConnectionRoom(self.engine, self._handshakes, self.row, time.monotonic)
        # else the queue belongs to this worker alone
        is_shared = config.dispatch in ("least", "shared")
        least = config.dispatch == "least"
        self.acceptor = Acceptor(
            self.loop,
            self.args.listeners,
            self.new_connection,
            row=self.row,
            count=self.engine.count,
            alone=config.workers == 1,
            gate=LeastConnections(self.args.scoreboard, self.row, fewest=least)
            if is_shared
            else None,
            is_full=self._is_full,
            make_room=room.make,
        )
        self._limits = Timeouts.from_config(config)
        self.receiver = self._new_receiver()
        self.engine.overflow = self._overflow
        self._offloader: Offloader | None = None
        self._evening = self._new_evening() if self.receiver is not None else None
        self._handoff_sender = HandoffSender(self.loop, self.send, self.engine.drain)
        self._handoff_receiver = HandoffReceiver(self.loop, self.send, self._take_over)

    def _measure_queue_time(self) -> "QueueTime | None":
        """Measure queue times, if a setting needs them."""
        config, engine = self.config, self.engine
        logged = engine.access is not None and needs_queue_time(config.access_logformat)
        if not (config.max_queue_time or logged):
            return None
        from pyfork.http.connection.queue_time import QueueTime, timed

        clock = QueueTime(
            self.loop, self.row, limit=config.max_queue_time, priority=config.priority_path
        )
        engine.new_exchange = timed(self.timed_exchange(), engine.new_exchange, clock)
        return clock

    def timed_exchange(self) -> type:
        """Return the class that measures the queue time of an exchange."""
        raise NotImplementedError

    def _begin_tls(self) -> "Handshakes | None":
        """Make the table of TLS handshakes, if TLS is configured."""
        if (context := self.tls_context()) is None:
            return None
        from pyfork.http.tls.connection import TlsConnection
        from pyfork.http.tls.handshakes import Handshakes

        return Handshakes(
            self.engine,
            context,
            new_connection=TlsConnection,
            limit=self.config.header_timeout,
            changed=self.connections_changed,
        )

    def _new_receiver(self) -> QueueReceiver | None:
        """Takes the connections of busy workers, where there are any."""
        queue = self.args.queue
        if queue is None or not self.config.busy_after:
            return None
        return QueueReceiver(
            self.loop,
            queue,
            scoreboard=self.args.scoreboard,
            row=self.row,
            tls=self._handshakes is not None,
            begin=self._begin_given,
            is_full=self._is_full,
            gate=LeastConnections(self.args.scoreboard, self.row)
            if self.config.dispatch == "least"
            else None,
        )

    def _new_evening(self) -> Evening | None:
        """Gives idle connections to workers that have fewer."""
        queue = self.args.queue
        if queue is None or self._handshakes is not None or self.config.dispatch != "least":
            return None
        return Evening(
            self.loop,
            queue,
            scoreboard=self.args.scoreboard,
            row=self.row,
            connections=self.engine.connections,
        )

    def _begin_given(self, given: Given) -> None:
        """Serve a connection that a busy worker gave away."""
        client = ClientSocket.adopt(given.fd)
        connection = self._take_over(client) if given.kept else self.new_connection(client)
        if not given.kept:  # else the engine counts it when it begins
            self.engine.count(1)
        elif self._evening is not None:
            self._evening.arrived(connection)
        self.acceptor.begin(client, connection, counted=not given.kept)
        if given.data:  # behind the call that makes the connection, and before anything is read
            assert isinstance(connection, Connection)
            self.loop.call_soon(connection.data_received, given.data)

    def watch(self, section: ApplicationSection, *, probe: "LoopProbe | None" = None) -> None:
        """Have a helper thread give connections away while application code holds the loop.

        It samples the loop with ``probe`` outside the section.
        """
        receiver, queue = self.receiver, self.args.queue
        if receiver is None or queue is None:
            return
        from pyfork.worker.offload.offloader import Offloader

        self._offloader = Offloader(
            section,
            queue,
            busy_after=self.config.busy_after,
            idle=self.movable,
            served=lambda: self.engine.served,
            cells=self.row.cells,
            has_takers=receiver.has_others,
            others_idle=receiver.others_idle,
            given=receiver.settle,
            deadline=lambda: self.row.deadline,
            probe=probe,
            tls=self._handshakes is not None,
        )

    def set_overflow(self, overflows: bool, /) -> None:
        """Whether a request that came now would have to wait for a thread."""
        if self.receiver is None:
            return
        self.engine.overflows = overflows and self._handshakes is None
        if overflows:
            self.receiver.pause()
        else:
            self.receiver.resume()

    def _overflow(self, connection: Connection, data: bytes) -> bool:
        """Give a connection to a worker that is free, with ``data``, which was read of its next
        request; whether that was possible."""
        receiver, queue = self.receiver, self.args.queue
        if receiver is None or queue is None or len(data) > MAX_DATA or not receiver.others_free():
            return False
        if not queue.put(connection.fileno(), kept=connection.kept, tls=False, data=data):
            return False
        connection.finish_handoff()
        return True

    def movable(self) -> Iterable["Movable"]:
        """Return idle connections that another worker could serve. Called in any thread."""
        made: Iterable[Movable] = self.engine.connections
        if self._handshakes is not None:
            made = self._handshakes.open
        return chain(starmap(Opening, self.acceptor.opening.items()), made)

    def new_connection(self, client: Client) -> "Connection | TlsTransport":
        """Return the protocol for a connection that was just accepted."""
        if self._handshakes is not None:
            return self._handshakes.new_transport()
        return self.connection_class(self.engine, client)

    def _is_full(self) -> bool:
        """Whether the number of connections has reached its limit."""
        return self.engine.open_connections >= self.config.worker_connections

    def _take_over(self, client: Client) -> Connection:
        """Return the protocol for a connection that another worker handed off."""
        return self.connection_class(self.engine, client, kept=True)

    def handle_message(self, message: Message, fds: Sequence[int]) -> None:
        match message:
            case HandoffTake(ticket):
                unfit = self._is_full() or self.draining.is_set() or self._handshakes is not None
                self._handoff_receiver.take(ticket, fds, willing=not unfit)
            case AddListeners(listeners):
                for name, fd in zip(listeners, fds, strict=False):
                    self.acceptor.add_listeners(name, socket.socket(fileno=fd))
            case RemoveListeners(listeners):
                for name in listeners:
                    self.acceptor.remove_listeners(name)
            case HandoffDone(connection):
                self._handoff_sender.release(connection)
                self.row.count(HANDED_OFF)
            case HandoffFailed(connection, final):
                self._handoff_sender.keep(connection, final=final)
            case _:
                super().handle_message(message, fds)

    def on_arbiter_lost(self) -> None:
        self._handoff_sender.on_arbiter_lost()
        super().on_arbiter_lost()

    def connections_changed(self) -> None:
        """A connection ended, or became a WebSocket."""
        self.changed.set()

    def accept(self) -> None:
        self.acceptor.start()
        if self.receiver is not None:
            self.receiver.start()
            if self._evening is not None:
                self._evening.start()

    def tick(self, now: float) -> None:
        self.engine.tick(time.time())
        if self._queue_time is not None:
            self._queue_time.tick()
        if self._offloader is not None:
            self._offloader.check()
        sweep(self.engine, self._limits, now)
        if self._handshakes is not None:
            self._handshakes.sweep(now)

    async def stop(self) -> None:
        if self._offloader is not None:
            self._offloader.stop()

    async def drain(self) -> None:
        if self.receiver is not None:
            self.receiver.stop()
            if self._evening is not None:
                self._evening.stop()
        if self.handoff:
            self.acceptor.stop()  # queued clients are for the others; received connections are not
            self.engine.drain(self._handoff_sender.offer)
            left = self.drain_deadline - time.monotonic()
            self.loop.call_later(max(left - CLOSE_IDLE_BEFORE_END, left / 2), self._close_idle)
        else:
            self.engine.drain()
            await self._empty_queue()
            self.engine.drain()
        if not await self.drained(self.empty):
            lost = self.cut()
            if lost:
                expected = self.config.reload  # browsers keep streams open during development
                level = logging.INFO if expected else logging.WARNING
                log.log(level, "cut %d requests that were still running", lost)

    def _close_idle(self) -> None:
        for connection in list(self.engine.connections):
            connection.close_idle()

    async def _empty_queue(self) -> None:
        """Accept the clients that are queued already: the port is about to close."""
        self.acceptor.finish(self.changed.set)
        await self.drained(lambda: self.acceptor.stopped)
        self.acceptor.stop()

    def empty(self) -> bool:
        """Whether no connection is left or about to begin."""
        beginning = self.acceptor.opening or (self._handshakes and self._handshakes.open)
        return not self.engine.connections and not beginning

    def cut(self) -> int:
        """Cut remaining connections. Returns how many requests are lost."""
        if self._handshakes is not None:
            self._handshakes.cut()
        return self.engine.cut()

    def _worn_out(self) -> None:
        self.request_recycle(f"it has answered {self.engine.served} requests")
