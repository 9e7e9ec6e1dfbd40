"""An engine that counts requests for ``/metrics``. It costs time: others have none of it."""

from time import monotonic
from typing import TYPE_CHECKING, Any

from pyfork.http.connection.engine import ConnectionType, Engine
from pyfork.ipc.scoreboard import Row
from pyfork.metrics.recorder import RequestRecorder

if TYPE_CHECKING:
    from pyfork.http.connection.exchange import Exchange


class MeteredEngine(Engine[ConnectionType]):
    """Measures from the call of the application to the end of its response."""

    def __init__(self, *args: Any, row: Row, **more: Any) -> None:
        self.metrics = RequestRecorder(row.metrics)
        super().__init__(*args, row=row, **more)

    def tick(self, now: float) -> None:
        super().tick(now)
        self.metrics.flush()

    def end(self, exchange: "Exchange") -> None:
        metrics, started = self.metrics, exchange.started
        took = monotonic() - started if started else 0.0
        status = 500 if (response := exchange.response) is None else response.status
        metrics.durations[exchange.head.line.method][status // 100].append(took)
        metrics.sent.append(exchange.length)
        if exchange.received:
            metrics.received.append(exchange.received)
        Engine.end(self, exchange)  # by super() 900 instructions more
