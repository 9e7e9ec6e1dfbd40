"""Every metric of a server: its name, its meaning, and where its value comes from.

Names follow the conventions of Prometheus: ``pyfork_``, base units. Pure.
"""

import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyfork.ipc import metric_cells as cells
from pyfork.metrics.exposition import Family, Labels, Sample, histogram

_STATES = ("booting", "serving", "draining", "dying", "killed")


def families(
    status: Mapping[str, Any],
    numbers: Sequence[int],
    sums: Sequence[float],
    *,
    certificates: Mapping[str, float],
    now: float,
) -> Iterator[Family]:
    """All metrics.

    Args:
        status: the answer to the request ``status`` of the control socket.
        numbers, sums: totals of the scoreboard.
        certificates: when they expire, in seconds since 1970, by file.
        now: seconds since 1970.
    """
    yield from _requests(numbers, sums)
    yield from _connections(status, numbers)
    yield from _workers(status)
    yield from _events(status["events"])
    for kind, seconds in status["durations"].items():
        name = f"pyfork_last_{kind}_duration_seconds"
        yield _gauge(name, f"How long the last {kind} took, whether or not it succeeded.", seconds)
    expiry = [Sample(at, {"file": file}) for file, at in certificates.items()]
    yield Family(
        "pyfork_tls_certificate_expiry_timestamp_seconds",
        "gauge",
        "When a certificate expires, in seconds since 1970.",
        expiry,
    )
    yield _gauge("pyfork_generation", "Number of the generation that serves.", status["generation"])
    yield _gauge(
        "pyfork_ready",
        "Whether all workers serve and no stop was asked for, as /readyz says.",
        int(status["ready"]),
    )
    yield _gauge(
        "pyfork_start_time_seconds",
        "When the arbiter started, in seconds since 1970.",
        now - status["uptime"],
    )
    yield _counter(
        "pyfork_log_lines_lost", "Log lines that nobody read in time.", status["log_lines_lost"]
    )
    labels = {"version": status["version"], "python": platform.python_version()}
    yield _gauge("pyfork_build_info", "Release of pyfork and of Python.", 1, labels)


def _requests(numbers: Sequence[int], sums: Sequence[float]) -> Iterator[Family]:
    counts: list[Sample] = []
    durations: list[Sample] = []
    for series in range(cells.SERIES):
        own = numbers[series * cells.WIDTH : (series + 1) * cells.WIDTH]
        if not any(own):
            continue
        method, status = cells.names(series)
        labels = {"method": method, "status": status}
        counts.append(Sample(sum(own), labels))
        durations += histogram(cells.BUCKETS, own, sums[series], labels)
    yield Family(
        "pyfork_requests", "counter", "Requests answered, by method and class of status.", counts
    )
    yield Family(
        "pyfork_request_duration_seconds",
        "histogram",
        "From the call of the application to the end of its response.",
        durations,
    )
    yield _counter(
        "pyfork_request_content_bytes",
        "Bytes of request content received.",
        numbers[cells.RECEIVED],
    )
    yield _counter(
        "pyfork_response_content_bytes", "Bytes of response content sent.", numbers[cells.SENT]
    )


def _connections(status: Mapping[str, Any], numbers: Sequence[int]) -> Iterator[Family]:
    workers = status["workers"]
    yield _gauge("pyfork_requests_in_flight", "Requests that run.", _sum(workers, "in_flight"))
    yield _gauge("pyfork_connections_open", "Open connections.", _sum(workers, "connections"))
    yield _counter("pyfork_connections_accepted", "Connections accepted.", numbers[cells.ACCEPTED])
    yield _counter(
        "pyfork_connections_idle_closed",
        "Idle connections that were closed to make room for others.",
        numbers[cells.IDLE_CLOSED],
    )
    yield _counter(
        "pyfork_connections_handed_off",
        "Idle connections that another worker took in a drain.",
        numbers[cells.HANDED_OFF],
    )
    for kind, cell in (("handshakes", cells.TLS_HANDSHAKES), ("failures", cells.TLS_FAILURES)):
        yield _counter(f"pyfork_tls_{kind}", f"TLS {kind}.", numbers[cell])
    yield _gauge(
        "pyfork_queue_time_seconds",
        "Longest wait for the application in the last 10 s; 0 where it is not measured.",
        max((each["queue_time"] for each in workers), default=0.0),
    )
    queues = status["queues"]
    for name, help in (
        ("length", "Connections that wait to be accepted."),
        ("limit", "Connections that may wait to be accepted."),
    ):
        samples = [Sample(each[name], _queue_labels(each)) for each in queues]
        yield Family(f"pyfork_listen_queue_{name}", "gauge", help, samples)


def _queue_labels(queue: Mapping[str, Any]) -> dict[str, str]:
    """With ``--dispatch reuseport`` an address has several queues."""
    return {"address": queue["address"], "queue": str(queue["number"])}


def _workers(status: Mapping[str, Any]) -> Iterator[Family]:
    workers = status["workers"]
    states = Counter(each["state"] for each in workers)
    yield Family(
        "pyfork_workers",
        "gauge",
        "Worker processes, by state.",
        [Sample(states[state], {"state": state}) for state in _STATES],
    )
    yield _gauge("pyfork_workers_wanted", "Workers that should serve.", status["workers_wanted"])
    lags: dict[str, float] = {}
    for each in workers:
        lags[str(each["slot"])] = max(each["loop_lag"], lags.get(str(each["slot"]), 0.0))
    yield Family(
        "pyfork_worker_loop_lag_seconds",
        "gauge",
        "By how much a timer of the worker's loop was late, at most in the last 10 s.",
        [Sample(lag, {"worker": slot}) for slot, lag in lags.items()],
    )
    memory: Counter[str] = Counter()
    for worker in workers:  # in a reload a slot has two
        memory[str(worker["slot"])] += worker["memory"] or 0
    yield Family(
        "pyfork_worker_resident_memory_bytes",
        "gauge",
        "Resident set size of the workers of a slot.",
        [Sample(size, {"worker": slot}) for slot, size in memory.items()],
    )


def _events(events: Mapping[str, Mapping[str, int]]) -> Iterator[Family]:
    for kind, name, label, help in (
        ("worker", "pyfork_worker_ends", "reason", "Worker processes that have ended."),
        ("reload", "pyfork_reloads", "outcome", "Reloads that have ended."),
        ("upgrade", "pyfork_upgrades", "outcome", "Upgrades that have ended."),
    ):
        samples = [Sample(count, {label: what}) for what, count in events[kind].items()]
        yield Family(name, "counter", help, samples)


def _gauge(name: str, help: str, value: float, labels: Labels | None = None) -> Family:
    return Family(name, "gauge", help, [Sample(value, labels or {})])


def _counter(name: str, help: str, value: float) -> Family:
    return Family(name, "counter", help, [Sample(value)])


def _sum(workers: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(each[name] or 0 for each in workers)
