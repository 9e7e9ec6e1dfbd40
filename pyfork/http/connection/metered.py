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

    def __init__(self, config: Config, *, line: Row, **more: Any) -> None:
        self.metrics = RequestRecorder(line.metrics, logs=config.statsd_host is not None)
        super().__init__(config, line=line, **more)

    def tick(self, now: float) -> None:
        super().tick(now)
        self.metrics.flush()

    def end(self, exchange: "Exchange") -> None:
        metrics, response = self.metrics, exchange.response
        metrics.sent += exchange.length
        if exchange.received:
            metrics.received += exchange.received
        method = exchange.head.line.method
        status = 500 if response is None else response.status
        # From here on as `Engine.end`: a call of it would be a third of what this method adds.
        exchange.finished = True
        served = self.served = self.served + 1
        if started := exchange.started:
            self.running -= 1
            took = monotonic() - started
        else:
            self.cells[BEGUN] += 1
            took = 0.0
        try:
            metrics.adders[method][status](took)
        except KeyError:
            metrics.add(method, status, took)
        self.cells[REQUESTS] = served
        if served == self.wear_after:
            self.on_recycle()
        if self.access is not None:
            self.access.write(exchange)
