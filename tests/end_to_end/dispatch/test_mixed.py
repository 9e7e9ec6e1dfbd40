"""No quick request waits for a slow one while a worker is idle: traced, and counted."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from tests.bench.mixed import load
from tests.end_to_end.dispatch.clients import KINDS
from tests.harness.server import Server

WAIT = 0.02  # seconds
WORKERS = 4

Span = tuple[float, float]


def read(trace: Path) -> tuple[list[Span], list[Span]]:
    """When a worker had no request for longer than WAIT, and when one had no core."""
    by_pid: dict[str, list[Span]] = {}
    for line in trace.read_text().splitlines():
        pid, began, ended = line.split()
        by_pid.setdefault(pid, []).append((float(began), float(ended)))
    stalls = by_pid.pop("stall", [])
    assert len(by_pid) == WORKERS
    spans = []
    for requests in by_pid.values():
        requests.sort()
        for (_, ended), (began, _) in pairwise(requests):
            if began - ended > WAIT:
                spans.append((ended, began))
    return spans, stalls


def overlap(one: Span, other: Span) -> float:
    return min(one[1], other[1]) - max(one[0], other[0])


def late_beside_idle(quick: list[Span], idle: list[Span], stalls: list[Span]) -> list[Span]:
    """Quick requests that waited for longer than WAIT, for so long beside an idle worker.

    Not those in whose time the machine did not even run the client.
    """
    late = [each for each in quick if each[1] - each[0] > WAIT]
    beside = [each for each in late if any(overlap(each, span) > WAIT for span in idle)]
    found = [each for each in beside if not any(overlap(each, stall) > 0 for stall in stalls)]
    print(f"{len(late)} of {len(quick)} were late, {len(beside)} of them beside an idle worker")
    print(f"{len(found)} of those while every process had a core; {len(stalls)} times one had none")
    return found


def test_what_counts() -> None:
    idle, stalls = [(0.0, 1.0)], [(0.5, 0.6)]
    assert late_beside_idle([(0.1, 0.2), (0.3, 0.31), (0.55, 0.58), (2.0, 3.0)], idle, stalls) == [
        (0.1, 0.2)
    ]


@pytest.mark.soak
@pytest.mark.parametrize("often", [0.001, 0.005])
def test_no_quick_request_waits_beside_an_idle_worker(tmp_path: Path, often: float) -> None:
    """In one of three rounds at least: in others, what else runs may take both processors."""
    late: list[tuple[float, float]] = []
    for number in range(3):
        directory = tmp_path / str(number)
        directory.mkdir()
        if not (late := late_requests(directory, often)):
            return
    assert not late


def late_requests(tmp_path: Path, often: float) -> list[tuple[float, float]]:
    """When quick requests began and ended that waited beside an idle worker; one round."""
    trace = tmp_path / "trace"
    options = (*KINDS["sync"][1:], "-w", str(WORKERS))
    with Server(
        "tests.end_to_end.dispatch.traced:wsgi",
        *options,
        directory=tmp_path,
        env={"TRACE": str(trace)},
    ) as server:
        figures = asyncio.run(load(server.port, 20, often=often))
    print(figures)
    assert not figures.errors
    idle, stalls = read(trace)
    return list(late_beside_idle(figures.spans, idle, [*stalls, *figures.stalls]))
