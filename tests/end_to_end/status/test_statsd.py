"""StatsD: names and figures as gunicorn sends them, from the whole server."""

import logging
import re
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.instrument.statsd import Statsd

from pyfork.ipc import metric_cells as cells
from pyfork.metrics.statsd import StatsdLines
from tests.harness.server import PATIENCE, Server

CODES = """
import time

def app(environ, start_response):
    status = environ["PATH_INFO"].strip("/")
    if status == "fails":
        raise RuntimeError("no database")
    time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response(f"{status} Some", [("Content-Length", "0")])
    return []
"""

LINE = re.compile(r"([\w.]+):([\d.e+-]+)\|(c|g|ms)(?:\|@([\d.e+-]+))?(?:\|#(.*))?")


class Receiver:
    """A StatsD server: sums of counters, and the count and sum of timers."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        end.settimeout(PATIENCE)
        self.counters: Counter[str] = Counter()
        self.gauges: dict[str, float] = {}
        self.timers: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.tags: set[str] = set()

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def receive(self) -> None:
        """Take one datagram."""
        found = LINE.fullmatch(self._socket.recv(65536).decode())
        assert found
        name, value, rate = found[1], float(found[2]), float(found[4] or 1)
        self.tags.add(found[5] or "")
        if found[3] == "c":
            self.counters[name] += round(value / rate)
        elif found[3] == "g":
            self.gauges[name] = value
        else:
            self.timers[name][0] += 1 / rate
            self.timers[name][1] += value / rate

    def names(self) -> set[str]:
        return {*self.counters, *self.gauges, *self.timers}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        yield Receiver(end)


def gunicorns() -> set[str]:
    """The names that gunicorn's own class sends for the same: it makes them itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        theirs = Receiver(end)
        config = Config()
        config.set("statsd_host", theirs.address)
        config.set("statsd_prefix", "shop")
        log = Statsd(config)
        for logger in (log.error_log, log.access_log):
            logger.handlers.clear()
            logger.addHandler(logging.NullHandler())
        for status in ("200 OK", "404 Not Found", "500 Failed"):
            log.access(SimpleNamespace(status=status), None, {}, timedelta(seconds=1))
        log.exception("failed")
        log.debug("", extra={"metric": "gunicorn.workers", "value": 2, "mtype": "gauge"})
        for _ in range(3 * 3 + 2):
            theirs.receive()
        log.sock.close()
        return theirs.names()


def test_names_and_figures_are_those_of_gunicorn(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "codes.py").write_text(CODES)
    with Server(
        "codes:app", "-w", "2", "--statsd-host", receiver.address, "--statsd-prefix", "shop",
        "--dogstatsd-tags", "env:test,app:codes", directory=tmp_path, cwd=tmp_path,
    ) as server:  # fmt: skip
        for _ in range(5):
            assert server.get("/200").status == 200
        assert server.get("/200?0.3").status == 200
        assert server.get("/404").status == 404
        assert server.get("/fails").status == 500
        requests, failures = "shop.gunicorn.requests", "shop.gunicorn.log.exception"
        duration = "shop.gunicorn.request.duration"
        # A second's figures come in many datagrams, in this order.
        while receiver.timers[duration][0] < 7.9 or not receiver.counters[failures]:
            receiver.receive()
        assert receiver.names() == gunicorns()
        assert receiver.gauges == {"shop.gunicorn.workers": 2}
        assert receiver.counters == {
            requests: 8,
            "shop.gunicorn.request.status.200": 6,
            "shop.gunicorn.request.status.404": 1,
            "shop.gunicorn.request.status.500": 1,
            failures: 1,
        }
        count, milliseconds = receiver.timers[duration]
        assert count == pytest.approx(8)
        assert milliseconds >= 299
        assert receiver.tags == {"env:test,app:codes"}


def test_a_receiver_that_is_not_there_hurts_nobody(tmp_path: Path) -> None:
    (tmp_path / "codes.py").write_text(CODES)
    with Server(
        "codes:app", "--statsd-host", f"unix:{tmp_path}/nobody", directory=tmp_path, cwd=tmp_path
    ) as server:
        server.wait_log("statsd at unix:")
        assert server.get("/200").status == 200


def test_durations_fit_their_buckets_and_their_sum() -> None:
    empty = [0] * cells.CELLS
    sums = [0.0] * cells.SERIES
    lines = StatsdLines("", "", empty, sums)
    numbers = empty.copy()
    series = cells.series_of("GET", 200)
    numbers[series * cells.WIDTH] = 3  # under a millisecond
    numbers[series * cells.WIDTH + cells.WIDTH - 1] = 1  # over ten seconds
    sums = sums.copy()
    sums[series] = 42.0
    *_, quick, slow = (each.decode() for each in lines.make(numbers, sums, 1))
    values = [LINE.fullmatch(each) for each in (quick, slow)]
    assert values[0]
    assert values[1]
    assert 0 < float(values[0][2]) <= 1
    assert values[0][4] == "0.333333333"
    assert float(values[1][2]) == pytest.approx(42000, rel=0.01)
    assert values[1][4] is None
    assert [each.decode() for each in lines.make(numbers, sums, 1)] == ["gunicorn.workers:1|g"]
