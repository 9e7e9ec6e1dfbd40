"""``pyfork describe``: one server whole."""

from collections.abc import Iterator
from typing import Any

from pyfork.ctl import tables
from pyfork.ctl.context import CommandContext
from pyfork.errors import ExitStatus


def run(asked: CommandContext) -> ExitStatus:
    """Show it."""
    (answer,) = asked.server.ask("describe")
    if not answer["ok"]:
        return asked.refuse("no answer", answer)
    asked.tell(answer, "\n\n".join(_parts(answer)))
    return ExitStatus.OK


def _parts(answer: dict[str, Any]) -> Iterator[str]:
    yield tables.status(answer["status"])
    start = tables.readable(answer["start"])
    yield _facts(
        {
            "command": " ".join(start["command"]),
            "directory": start["directory"],
            **{f"{name} log": place or "none" for name, place in start["logs"].items()},
            **{f"{name} limit": size or "unlimited" for name, size in start["limits"].items()},
            "environment": " ".join(start["environment"]),
        }
    )
    yield tables.sockets(tables.readable(answer["sockets"]))
    rows = [(each["name"], each["value"] or "none", each["origin"]) for each in start["settings"]]
    changed = [row for row in rows if row[2] != "default"]
    yield tables.table(("setting", "value", "source"), changed or rows)
    if changed:
        yield f"{len(rows) - len(changed)} settings have their defaults: see --json"


def _facts(facts: dict[str, object]) -> str:
    width = max(map(len, facts))
    return "\n".join(f"{name:{width}}  {value}" for name, value in facts.items())
