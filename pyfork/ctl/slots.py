"""``pyfork restart``, ``drain`` and ``resume``: workers, named by their slots."""

from typing import Any

from pyfork.ctl.context import CommandContext
from pyfork.errors import ConfigError, ExitStatus


def restart(asked: CommandContext) -> ExitStatus:
    """Replace workers."""
    slot, wait = asked.slot(), asked.options["wait"]
    which = "workers" if slot is None else f"the worker of slot {slot}"
    failed = "restart failed, the old worker keeps serving, and pyfork tries another one"
    for answer in asked.server.ask("restart", wait=wait, **_worker(slot)):
        if progress := answer.get("progress"):
            asked.tell(answer, f"{progress['done']} of {progress['of']} workers are replaced")
        elif not answer["ok"]:
            return asked.refuse(failed if "detail" in answer else "not restarted", answer)
        else:
            does = "has replaced" if wait else "replaces"
            asked.tell(answer, f"{asked.who} {does} {which}")
    return ExitStatus.OK


def drain(asked: CommandContext) -> ExitStatus:
    """Take a slot out of service."""
    slot = asked.slot()
    if slot is None:
        raise ConfigError("name the slot: pyfork drain --worker SLOT")
    for answer in asked.server.ask("drain", wait=asked.options["wait"], worker=slot):
        if answer.get("progress"):
            continue
        if not answer["ok"]:
            return asked.refuse("not drained", answer)
        asked.tell(answer, f"{asked.who}: slot {slot} is out of service until pyfork resume")
    return ExitStatus.OK


def resume(asked: CommandContext) -> ExitStatus:
    """Serve it again."""
    (answer,) = asked.server.ask("resume", **_worker(asked.slot()))
    if not answer["ok"]:
        return asked.refuse("not resumed", answer)
    slots = ", ".join(map(str, answer["slots"]))
    asked.tell(answer, f"{asked.who} serves slot {slots} again")
    return ExitStatus.OK


def _worker(slot: int | None) -> dict[str, Any]:
    return {} if slot is None else {"worker": slot}
