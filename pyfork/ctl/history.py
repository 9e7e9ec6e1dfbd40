"""``pyfork history``: why workers ended, and what became of reloads and upgrades."""

import json
import time
from typing import Any

from pyfork.ctl import tables
from pyfork.ctl.context import CommandContext
from pyfork.errors import ConfigError, ExitStatus


def run(asked: CommandContext) -> ExitStatus:
    """Show it, the oldest entry first."""
    (answer,) = asked.server.ask("history")
    if not answer["ok"]:
        return asked.refuse("no answer", answer)
    entries = answer["history"]
    if (lines := asked.options["lines"]) is not None:
        if not lines.isdecimal():
            raise ConfigError(f"--lines: {lines!r} is not a number of entries")
        entries = entries[-int(lines) :] if int(lines) else []
    for entry in entries:
        if asked.options["json"]:
            asked.say(json.dumps(entry))
        else:
            asked.say(text(tables.readable(entry), full=asked.options["full"]))
    if not entries and not asked.options["json"]:
        asked.say("nothing has happened yet")
    return ExitStatus.OK


def text(entry: dict[str, Any], *, full: bool) -> str:
    """One entry: a line, and with ``full`` the traceback below it; else its last line."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["at"]))
    said = _worker(entry) if entry["kind"] == "worker" else _outcome(entry)
    detail = [line for line in entry["detail"].split("\n") if line.strip()]
    shown = detail if full else detail[-1:]
    return "\n".join([f"{when}  {said}", *(f"    {line}" for line in shown)])


def _worker(entry: dict[str, Any]) -> str:
    facts = [f"after {tables.duration(entry['age'])}"]
    if entry["requests"] is not None:
        facts.append(f"{entry['requests']} request{'s' if entry['requests'] != 1 else ''}")
    facts.append(f"at most {tables.size(entry['memory'])}")
    if entry["in_flight"]:
        facts.append(entry["in_flight"])
    does = "left" if entry["ok"] else "died"
    who = f"worker {entry['slot']} (generation {entry['generation']}, pid {entry['pid']})"
    return f"{who} {does}: {entry['reason']}; {', '.join(facts)}"


def _outcome(entry: dict[str, Any]) -> str:
    took = f" after {entry['duration']:.1f} s"
    number = entry["generation"]
    what = entry["kind"] if number is None else f"{entry['kind']} to generation {number}"
    return f"{what} succeeded{took}" if entry["ok"] else f"{what} failed{took}: {entry['reason']}"
