"""The content of ``pyfork top``, from two looks at all servers. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from pyfork.ctl import tables
from pyfork.ctl.listing import Look
from pyfork.record import record

SORTS = ("slot", "cpu", "memory", "requests/s", "in flight")


@record
class WorkerRow:
    """One worker."""

    server: int  # process id of its arbiter
    slot: int
    pid: int
    generation: int
    state: str
    rate: float | None  # requests per second; None: not known
    in_flight: int | None
    connections: int | None
    cpu: float | None  # percent of one core
    memory: int | None  # bytes
    doing: str


@record
class ServerRows:
    """One server and its workers."""

    pid: int
    title: str
    facts: str
    workers: tuple[WorkerRow, ...]


def servers(before: Look, now: Look, *, sort: str) -> list[ServerRows]:
    """Every server."""
    found = [_server(before, now, status) for status in now.statuses.values()]
    ordered = sorted(found, key=lambda each: (each.title, each.pid))
    return [
        ServerRows(each.pid, each.title, each.facts, _sorted(each.workers, sort))
        for each in ordered
    ]


def _server(before: Look, now: Look, status: dict[str, Any]) -> ServerRows:
    shown = tables.readable(status)
    workers = tuple(_workers(before, now, shown))
    rates = [each.rate for each in workers if each.rate is not None]
    cpu = [each.cpu for each in workers if each.cpu is not None]
    serving = sum(each.state == "serving" for each in workers)
    waiting = sum(each["length"] for each in status.get("queues", ()))
    out = ", ".join(map(str, status.get("drained", ())))
    facts = (
        f"{shown['state']} {serving}/{shown['workers_wanted']}{out and f', drained {out}'}, "
        f"gen {shown['generation']}, "
        f"up {tables.duration(status['uptime'])}, {sum(rates):.0f} req/s, {sum(cpu):.0f} % CPU, "
        f"queue {waiting}, restarts {status.get('restarts', 0)}"
    )
    title = f"{shown['name'] or shown['app']} ({status['pid']})"
    return ServerRows(status["pid"], title, facts, workers)


def _workers(before: Look, now: Look, status: dict[str, Any]) -> Iterator[WorkerRow]:
    seconds = max(now.at - before.at, 0.001)
    earlier = before.statuses.get(status["pid"], {"workers": ()})
    requests = {each["pid"]: each["requests"] for each in earlier["workers"]}
    for worker in status["workers"]:
        pid = worker["pid"]
        old, new = requests.get(pid), worker["requests"]
        used, uses = before.usage.get(pid), now.usage.get(pid)
        doing = worker["doing"]
        if doing and worker["busy"] >= 1:
            doing += f" ({tables.duration(worker['busy'])})"
        yield WorkerRow(
            server=status["pid"],
            slot=worker["slot"],
            pid=pid,
            generation=worker["generation"],
            state=worker["state"],
            rate=None if old is None or new is None else max(0, new - old) / seconds,
            in_flight=worker["in_flight"],
            connections=worker["connections"],
            cpu=100 * (uses.cpu - used.cpu) / seconds if used and uses else None,
            memory=uses.memory if uses else None,
            doing=doing,
        )


def _sorted(workers: Sequence[WorkerRow], sort: str) -> tuple[WorkerRow, ...]:
    keys = {
        "cpu": lambda each: -(each.cpu or 0),
        "memory": lambda each: -(each.memory or 0),
        "requests/s": lambda each: -(each.rate or 0),
        "in flight": lambda each: -(each.in_flight or 0),
    }
    if key := keys.get(sort):
        return tuple(sorted(workers, key=key))
    return tuple(workers)
