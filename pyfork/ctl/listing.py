"""``pyfork list``: a line for each server that this user may see.

Rates are measured between two looks: the first line is there after half a second.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from pyfork.ctl import client, processes, tables
from pyfork.ctl.processes import Usage
from pyfork.errors import PyforkError
from pyfork.record import record

INTERVAL = 0.5  # seconds between the two looks
REFRESH = 1.0  # seconds between two tables of --watch
PATIENCE = 1.0  # seconds in which all servers have to answer

_CLEAR = "\x1b[H\x1b[2J"


@record
class Look:
    """The states of all servers at one time."""

    at: float  # monotonic seconds
    statuses: dict[int, dict[str, Any]]  # by process id
    usage: dict[int, Usage]  # by process id
    others: tuple[dict[str, Any], ...]  # rows of servers that do not answer


def run(say: Callable[[str], object], *, as_json: bool, watch: bool, terminal: bool) -> None:
    """Say which servers there are: once, or with ``watch`` each second until interrupted."""
    before = take_look()
    time.sleep(INTERVAL)
    while True:
        now = take_look()
        found = rows(before, now)
        if as_json:
            for row in found:
                say(json.dumps(row))
        else:
            text = table(found) if found else "no server is running"
            say(_CLEAR + text if watch and terminal else text)
        if not watch:
            return
        before = now
        time.sleep(REFRESH)


def take_look() -> Look:
    """Ask every server for its status, and the system for what its processes use."""
    arbiters = list(processes.arbiters())
    elsewhere = [each.control for each in arbiters if each.control is not None]
    answering, silent = client.running(*elsewhere, patience=PATIENCE)
    statuses = {}
    for one in answering:
        statuses[one.status["pid"]] = one.status
        one.close()
    others = []
    for arbiter in arbiters:
        if arbiter.pid not in statuses:
            state = "does not answer" if arbiter.control in silent else "no control socket"
            others.append(_row(arbiter.pid, state))
    pids = [pid for status in statuses.values() for pid in _pids(status)]
    return Look(time.monotonic(), statuses, processes.usage(pids), tuple(others))


def look_at(path: str) -> Look:
    """Ask one server alone, by its control socket; nobody there is no server."""
    statuses = {}
    with suppress(OSError, PyforkError):
        found = client.ControlClient(path).read_status(PATIENCE)
        statuses[found.status["pid"]] = found.status
        found.close()
    pids = [pid for status in statuses.values() for pid in _pids(status)]
    return Look(time.monotonic(), statuses, processes.usage(pids), ())


def rows(before: Look, now: Look) -> list[dict[str, Any]]:
    """The output of ``--json``: one object for each server. Unknown values are null."""
    found = [*_measured(before, now), *now.others]
    return sorted(found, key=lambda row: (row["name"] or "", row["pid"] or 0))


def _measured(before: Look, now: Look) -> Iterator[dict[str, Any]]:
    seconds = max(now.at - before.at, 0.001)
    for pid, status in now.statuses.items():
        earlier = before.statuses.get(pid)
        sampled = [(before.usage.get(each), now.usage.get(each)) for each in _pids(status)]
        both = [(old, new) for old, new in sampled if old and new]
        workers = status["workers"]
        yield _row(
            pid,
            status["state"],
            name=status["name"],
            app=status["app"],
            addresses=status["addresses"],
            version=status["version"],
            generation=status["generation"],
            workers=sum(each["state"] == "serving" for each in workers),
            workers_wanted=status["workers_wanted"],
            uptime=status["uptime"],
            restarts=status.get("restarts"),
            requests_per_second=_rate(earlier, status, seconds),
            cpu_percent=100 * sum(new.cpu - old.cpu for old, new in both) / seconds
            if both
            else None,
            memory=sum(new.memory for _, new in sampled if new) or None,
        )


def _pids(status: dict[str, Any]) -> list[int]:
    return [status["pid"], *(worker["pid"] for worker in status["workers"])]


def _rate(earlier: dict[str, Any] | None, now: dict[str, Any], seconds: float) -> float | None:
    """Requests per second; None for a script, whose requests are not seen."""
    if earlier is None:
        return None
    before: int | None = earlier.get("requests")
    after: int | None = now.get("requests")
    return None if before is None or after is None else max(0, after - before) / seconds


def _row(pid: int | None, state: str, **known: Any) -> dict[str, Any]:
    names = (
        *("name", "pid", "app", "addresses", "version", "generation", "workers"),
        *("workers_wanted", "uptime", "restarts", "requests_per_second", "cpu_percent"),
        *("memory", "state"),
    )
    return dict.fromkeys(names) | {"pid": pid, "state": state, **known}


_HEADS = (
    *("name", "pid", "application", "addresses", "version", "gen", "workers", "up"),
    *("restarts", "req/s", "CPU", "memory", "state"),
)


def table(found: Sequence[dict[str, Any]]) -> str:
    """The same for people."""
    return tables.table(_HEADS, [_cells(tables.readable(row)) for row in found])


def _cells(row: dict[str, Any]) -> list[object]:
    def shown(name: str, text: Callable[[Any], str] = str) -> str:
        return "-" if row[name] is None else text(row[name])

    return [
        row["name"] or "-",
        shown("pid"),
        shown("app"),
        ", ".join(row["addresses"] or ()) or "-",
        shown("version"),
        shown("generation"),
        "-" if row["workers"] is None else f"{row['workers']}/{row['workers_wanted']}",
        shown("uptime", tables.duration),
        shown("restarts"),
        shown("requests_per_second", "{:.0f}".format),
        shown("cpu_percent", "{:.0f} %".format),
        shown("memory", tables.size),
        row["state"],
    ]
