"""An engine that counts requests for ``/metrics`` and StatsD. Other engines pay nothing for it."""

from time import monotonic
from typing import TYPE_CHECKING, Any

from pyfork.config.config import Config
from pyfork.http.connection.engine import ConnectionType, Engine
from pyfork.ipc.scoreboard import BEGUN, REQUESTS, Row
from pyfork.metrics.recorder import RequestRecorder

if TYPE_CHECKING:
    from pyfork.http.connection.exchange import Exchange


class MeteredEngine(Engine[ConnectionType]):
    """Measures from the call of the application to the end of its response."""

    metrics: RequestRecorder

    def __init__(self, config: Config, *, row: Row, **more: Any) -> None:
        # One attribute only: see `Engine`.
        self.metrics = RequestRecorder(row.metrics, logs=config.statsd_host is not None)
        super().__init__(config, row=row, **more)

    def tick(self, now: float) -> None:
        super().tick(now)
        self.metrics.flush()

    def end(self, exchange: "Exchange") -> None:
        # As `Engine.end`: a call of it would be a third of what is added.
        exchange.finished = True
        served = self.served = self.served + 1
        metrics = self.metrics
        metrics.sent += exchange.length
        try:
            if started := exchange.started:
                self.running -= 1
                seconds = monotonic() - started
            else:
                self.cells[BEGUN] += 1
                seconds = 0.0
            metrics.adders[exchange.head.line.method][exchange.response.status](seconds)  # type: ignore[union-attr]
        except (KeyError, AttributeError):  # the first of its kind, or there was no response
            status = 500 if exchange.response is None else exchange.response.status
            metrics.add(exchange.head.line.method, status, seconds)
        self.cells[REQUESTS] = served
        if served == self.wear_after:
            self.on_recycle()
        if self.access is not None:
            self.access.write(exchange)
