"""The text of metrics, and the cells behind it. Pure, but for shared memory."""

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from pyfork.ipc import metric_cells as cells
from pyfork.ipc.scoreboard import Scoreboard
from pyfork.metrics.exposition import Family, Sample, histogram, text
from pyfork.metrics.recorder import RequestRecorder

FAMILIES = [
    Family("a_b", "counter", 'Help with \\ and "quotes"\nand lines.', [Sample(2, {"x": 'a"\\\n'})]),
    Family("c", "gauge", "Empty.", []),
    Family("d", "histogram", "Times.", list(histogram((0.5, 1.0), (1, 0, 2), 7.5, {"m": "GET"}))),
]


@pytest.mark.parametrize("is_open", [False, True])
def test_parsers_of_prometheus_read_it(is_open: bool) -> None:
    written = text(FAMILIES, openmetrics=is_open)
    parse = (
        openmetrics.text_string_to_metric_families if is_open else text_string_to_metric_families
    )
    samples = {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in parse(written)
        for sample in family.samples
    }
    assert samples == {
        ("a_b_total", (("x", 'a"\\\n'),)): 2,
        ("d_bucket", (("m", "GET"), ("le", "0.5"))): 1,
        ("d_bucket", (("m", "GET"), ("le", "1.0"))): 1,
        ("d_bucket", (("m", "GET"), ("le", "+Inf"))): 3,
        ("d_sum", (("m", "GET"),)): 7.5,
        ("d_count", (("m", "GET"),)): 3,
    }


def test_what_a_worker_counts_stays_when_it_ends() -> None:
    board = Scoreboard(3)
    for index in range(2):
        board.mark_used(index)
        row = board.row(index)
        recorder = RequestRecorder(row.metrics)
        for seconds in (0.001, 0.0011, 99.0):
            recorder.add("GET", 204, seconds)
            recorder.flush()
        recorder.add("BREW", 418, 0.0)
        recorder.sent += 30
        recorder.flush()
        recorder.flush()
        row.requests, row.accepted = 4, 2
    before = board.totals()
    numbers, sums = before
    series = cells.series_of("GET", 204)
    own = numbers[series * cells.WIDTH : (series + 1) * cells.WIDTH]
    assert own == [2, 2, *[0] * (cells.WIDTH - 3), 2]
    assert sums[series] == pytest.approx(2 * 99.0021)
    assert cells.names(cells.series_of("BREW", 418)) == ("other", "4xx")
    assert numbers[cells.series_of("other", 400) * cells.WIDTH] == 2
    assert numbers[cells.STATUSES + 104] == 6
    assert (numbers[cells.SENT], numbers[cells.ACCEPTED], numbers[cells.ANSWERED]) == (60, 4, 8)
    board.retire(board.row(0))
    after = board.totals()
    assert after[0][: cells.SUMS] == numbers[: cells.SUMS]
    assert after[0][cells.RECEIVED : cells.SEQUENCE] == numbers[cells.RECEIVED : cells.SEQUENCE]
    assert after[1] == pytest.approx(sums)
    assert board.row(0).requests == 0


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.001, 0), (0.0010001, 1), (10.0, 12), (10.1, 13)]
)
def test_a_bound_belongs_to_its_bucket(seconds: float, bucket: int) -> None:
    board = Scoreboard(1)
    recorder = RequestRecorder(board.row(0).metrics)
    recorder.add("GET", 200, seconds)
    recorder.flush()
    series = cells.series_of("GET", 200)
    board.mark_used(0)
    assert board.totals()[0][series * cells.WIDTH + bucket] == 1
