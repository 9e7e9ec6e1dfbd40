"""``pyfork stack``: what each thread and task of the workers does, innermost frame first."""

import json
import linecache
import re
from typing import Any

from pyfork.ctl import client, tables
from pyfork.ctl.context import CommandContext
from pyfork.errors import ExitStatus

_THREAD = re.compile(r"(?:Current t|T)hread (0x[0-9a-f]+)(?: \[([^\]]*)\])? \(most recent")
_FRAME = re.compile(r'  File "(.*)", line (\d+|\?\?\?) in (.*)')


def run(asked: CommandContext) -> ExitStatus:
    """Show the stacks of all workers, or of those of one slot."""
    slot = asked.slot("slot")
    workers, last = ask(asked.server, asked.slot() if slot is None else slot)
    for worker in workers:
        asked.say(json.dumps(worker) if asked.options["json"] else text(worker))
    return ExitStatus.OK if last["ok"] else asked.refuse("no stacks", last)


def ask(
    server: client.ControlClient, slot: int | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The workers in the order of their slots, and the last answer of the server.

    Each worker has ``threads``, also where faulthandler has written them, or ``error``.
    """
    which = {} if slot is None else {"worker": slot}
    *answers, last = server.ask("stack", wait=True, **which)
    workers = [answer["worker"] for answer in answers]
    for worker in workers:
        if (written := worker.pop("text", None)) is not None:
            worker |= {"threads": threads(written), "tasks": None, "more_tasks": 0}
    return sorted(workers, key=lambda each: (each["slot"], each["generation"])), last


def threads(written: str) -> list[dict[str, Any]]:
    """The threads that faulthandler has written."""
    found: list[dict[str, Any]] = []
    for line in written.splitlines():
        if begins := _THREAD.match(line):
            found.append(
                {"name": begins[2] or "", "ident": int(begins[1], 16), "serves": None, "stack": []}
            )
        elif found and (frame := _FRAME.match(line)):
            number = int(frame[2]) if frame[2].isdecimal() else 0
            place = {"file": frame[1], "line": number, "function": frame[3]}
            found[-1]["stack"].append(place)
    return found


def text(worker: dict[str, Any]) -> str:
    """One worker, for a person."""
    worker = tables.readable(worker)
    head = f"worker {worker['slot']} (generation {worker['generation']}, pid {worker['pid']})"
    if error := worker.get("error"):
        return f"{head}: {error}"
    lines = [f"{head}{_how(worker)}"]
    for thread in worker["threads"]:
        lines += _stack(f"thread {thread['name'] or hex(thread['ident'])}", thread)
    for task in worker["tasks"] or ():
        lines += _stack(f"task {task['name']}", task)
    if worker["more_tasks"]:
        lines.append(f"  and {worker['more_tasks']} more tasks")
    return "\n".join([*lines, ""])


def _how(worker: dict[str, Any]) -> str:
    if not worker["blocked"]:
        return ""
    doing = worker["doing"]
    runs = f"; {doing}, for {worker['busy']:.1f} s" if doing else ""
    return f" does not come round to its loop{runs}; its tasks are not known"


def _stack(name: str, entry: dict[str, Any]) -> list[str]:
    served = entry["serves"]
    request = f": {served['method']} {served['target']}, {served['age']:.1f} s" if served else ""
    return [f"  {name}{request}", *map(_frame, entry["stack"])]


def _frame(place: dict[str, Any]) -> str:
    source = linecache.getline(place["file"], place["line"]).strip()
    where = f"    {place['file']}:{place['line']} in {place['function']}"
    return f"{where}: {source}" if source else where
