"""ASGI requests whose queue time is measured; see `http.connection.queue_time`."""

from time import monotonic

from pyfork.http.asgi.gateway import AsgiExchange
from pyfork.http.connection.queue_time import LATE, QueueTime


class TimedAsgiExchange(AsgiExchange):
    """One task of the application, unless the request has waited for too long."""

    clock: QueueTime

    def start(self) -> None:
        waited = self.queue_time = monotonic() - self.clock.arrival(self)
        refused = self.clock.is_late(self)
        self.clock.record(waited, refused=refused)
        if refused:
            self.respond_whole(503, None, self.clock.headers, LATE)
        else:
            super().start()
