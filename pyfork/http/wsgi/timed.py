"""WSGI requests whose queue time is measured; see `http.connection.queue_time`."""

from time import monotonic

from pyfork.http.connection.queue_time import LATE, QueueTime
from pyfork.http.wsgi.gateway import WsgiExchange


class TimedWsgiExchange(WsgiExchange):
    """One call of the application, unless the request has waited for too long."""

    clock: QueueTime
    arrived = 0.0  # monotonic seconds
    refused = False

    def start(self) -> None:
        if self.body_complete:
            self.arrived = self.clock.arrival(self)
        super().start()

    def serve(self) -> None:
        self.queue_time = monotonic() - self.arrived
        self.refused = self.clock.is_late(self)
        if not self.refused:
            super().serve()
            return
        self.code, self.reason = 503, None
        self.headers = self.clock.headers
        self.whole = (LATE,)
        if self.body is not None:
            self.body.close()

    def served(self) -> None:
        assert self.queue_time is not None
        self.clock.record(self.queue_time, refused=self.refused)
        super().served()
