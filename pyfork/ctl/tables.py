"""The state of servers as text for people. No I/O."""

from collections.abc import Iterable, Sequence
from typing import Any

from pyfork.log.formatter import indented, printable

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_HEADS = (
    *("slot", "pid", "gen", "state", "age"),
    *("conns", "in flight", "requests", "memory", "doing"),
)
_LEFT = {
    "address",
    "kind",
    "owner",
    "shared by",
    "state",
    "doing",
    "name",
    "application",
    "addresses",
    "setting",
    "value",
    "source",
    "version",
}  # the rest is numbers


def status(status: dict[str, Any]) -> str:
    """One server: what it is, how it is, and a line for each worker."""
    status = readable(status)
    lines = [
        f"{_name(status)} (pid {status['pid']}), pyfork {status['version']}, {_purpose(status)}",
        f"{status['state']}: {_strength(status)}, generation {status['generation']}, "
        f"up {duration(status['uptime'])}",
        *_parser(status.get("http", "auto")),
        *_page(status.get("broken")),
        *_last("reload", status["last_reload"]),
        *_last("upgrade", status["last_upgrade"]),
        *_lost(status.get("log_lines_lost", 0)),
        *_drained(status.get("drained", ())),
        *_no_room(sum(worker.get("idle_closed", 0) for worker in status["workers"])),
        *_waits(max((worker.get("queue_time", 0.0) for worker in status["workers"]), default=0.0)),
    ]
    workers = [_worker(each) for each in status["workers"]]
    return "\n".join([*lines, "", table(_HEADS, workers)] if workers else lines)


def _parser(http: str) -> list[str]:
    return [] if http == "auto" else [f"HTTP is parsed by {http}"]


def _purpose(status: dict[str, Any]) -> str:
    """Application and addresses; a script may have no port, or none yet."""
    if status["addresses"]:
        return f"serves {status['app']} on {', '.join(status['addresses'])}"
    if status["state"] in ("draining", "stopping"):
        return f"serves {status['app']} on no address any more"
    return f"runs {status['app']}, no port{' yet' if status['state'] == 'booting' else ''}"


def _page(reason: str | None) -> list[str]:
    return [f"the application does not load, and clients are told why: {reason}"] if reason else []


def _lost(lines: int) -> list[str]:
    if not lines:
        return []
    return [f"{lines} log line{' was' if lines == 1 else 's were'} lost: nobody read them in time"]


def _drained(slots: Sequence[int]) -> list[str]:
    """Slots that an operator has taken out of service."""
    if not slots:
        return []
    which = f"slot {slots[0]} is" if len(slots) == 1 else f"slots {', '.join(map(str, slots))} are"
    return [f"{which} drained, until pyfork resume"]


def _no_room(closed: int) -> list[str]:
    if not closed:
        return []
    connections = "an idle connection was" if closed == 1 else f"{closed} idle connections were"
    return [f"{connections} closed to make room for others"]


def _waits(seconds: float) -> list[str]:
    """The longest wait for the application of the last ten seconds, where it is measured."""
    if seconds < 0.01:
        return []
    return [f"a request waited {seconds * 1000:.0f} ms for the application in the last 10 s"]


def servers(statuses: Iterable[dict[str, Any]]) -> str:
    """A line for each server, by what they can be told apart."""
    statuses = map(readable, statuses)
    rows = [
        (
            each["name"] or "-",
            each["pid"],
            each["state"],
            each["app"],
            ", ".join(each["addresses"]) or "-",
        )
        for each in statuses
    ]
    return table(("name", "pid", "state", "application", "addresses"), rows)


def sockets(sockets: Iterable[dict[str, Any]]) -> str:
    """A line for each listening socket."""
    rows = [
        (
            each["address"],
            each["kind"],
            each["inode"],
            each["owner"],
            ", ".join(f"{one['name']} ({one['pid']})" for one in each["shared_by"]),
            "-" if each["queue"] is None else each["queue"],
            "-" if each["limit"] is None else each["limit"],
        )
        for each in sockets
    ]
    return table(("address", "kind", "inode", "owner", "shared by", "queue", "limit"), rows)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns under ``heads``, as wide as need be."""
    lines = [list(heads), *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [
        "  ".join(
            cell.ljust(width) if head in _LEFT else cell.rjust(width)
            for head, cell, width in zip(heads, line, widths, strict=True)
        )
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in aligned)


def duration(seconds: float) -> str:
    """The two largest units of it: ``2 h 5 min``."""
    left = int(seconds)
    for index, (unit, length) in enumerate(_UNITS):
        if left >= length:
            text = f"{left // length} {unit}"
            if index + 1 < len(_UNITS):
                lower, part = _UNITS[index + 1]
                text += f" {left % length // part} {lower}" if left % length // part else ""
            return text
    return "0 s"


def size(octets: int) -> str:
    """Bytes, in the unit that fits: ``48 MiB``, ``1.3 GiB``."""
    return f"{octets >> 20} MiB" if octets < 1 << 30 else f"{octets / (1 << 30):.1f} GiB"


def _worker(worker: dict[str, Any]) -> tuple[object, ...]:
    doing = worker["doing"]
    if doing and worker["busy"] >= 1:
        doing += f" ({duration(worker['busy'])})"
    memory = worker["memory"]
    return (
        worker["slot"],
        worker["pid"],
        worker["generation"],
        worker["state"],
        duration(worker["age"]),
        *(_known(worker[name]) for name in ("connections", "in_flight", "requests")),
        size(memory) if memory is not None else "-",
        doing,
    )


def _known(number: int | None) -> object:
    return "-" if number is None else number


def _name(status: dict[str, Any]) -> str:
    return status["name"] or "server"


def _strength(status: dict[str, Any]) -> str:
    serving = sum(worker["state"] == "serving" for worker in status["workers"])
    wanted = status["workers_wanted"]
    return f"{serving} of {wanted} worker{'' if wanted == 1 else 's'}"


def _last(what: str, last: dict[str, Any] | None) -> list[str]:
    if last is None:
        return []
    ago = f"{duration(last['ago'])} ago"
    if last["ok"]:
        return [f"last {what} {ago}"]
    told = f"last {what} failed {ago}: {last['error']}"
    return [told, *(f"    {line}" for line in last["detail"].split("\n") if line)]


def readable(answer: Any, key: str = "") -> Any:
    """An answer whose text is for a terminal: clients and applications have a part in it."""
    match answer:
        case dict():
            return {name: readable(value, name) for name, value in answer.items()}
        case list():
            return [readable(value) for value in answer]
        case str():
            return indented(answer) if key == "detail" else printable(answer)
    return answer
