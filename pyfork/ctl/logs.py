"""``pyfork logs``: the log of a server, from its file or from the journal."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from pyfork.ctl import client, log_reader
from pyfork.ctl.context import CommandContext
from pyfork.ctl.log_reader import LogRecord
from pyfork.errors import ConfigError, ExitStatus, PyforkError
from pyfork.log.formatter import indented
from pyfork.record import record
from pyfork.system.environment import state_directory, wants_colour

LINES = "50"

_STYLES = {
    "DEBUG": "\x1b[2m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}


@record
class Source:
    """Where a log goes."""

    path: str | None  # a file
    unit: str | None = None  # a unit of systemd, whose output goes to the journal


def run(asked: CommandContext) -> ExitStatus:
    """Show it. Raises PyforkError: it cannot be read from here."""
    options = asked.options
    count = options["lines"] or LINES
    if not count.isdecimal():
        raise ConfigError(f"--lines: {count!r} is not a number of records")
    chosen = _filter(asked)
    source = _source(options["target"], access=options["access"])
    shown = _shower(asked)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for record in _records(source, int(count), chosen, follow=options["follow"]):
            shown(record)
    except KeyboardInterrupt:
        if not options["follow"]:
            raise
    except OSError as error:
        raise PyforkError(f"{source.path}: {error.strerror}") from None
    return ExitStatus.OK


def _records(
    source: Source, count: int, chosen: Callable[[LogRecord], bool], *, follow: bool
) -> Iterator[LogRecord]:
    if source.path is None:
        yield from filter(chosen, _journal(source.unit or "", count, follow=follow))
        return
    with open(source.path, "rb") as file:  # it may be rotated between the two
        yield from log_reader.last(file, count, chosen)
        if follow:
            yield from filter(chosen, log_reader.follow(source.path, file))


def _filter(asked: CommandContext) -> Callable[[LogRecord], bool]:
    slot, pattern = asked.slot(), asked.options["grep"]
    try:
        wanted = re.compile(pattern or "")
    except re.error as error:
        raise ConfigError(f"--grep: {pattern!r} is no regular expression: {error}") from None
    return lambda each: slot in (None, each.slot) and wanted.search(each.text) is not None


def _shower(asked: CommandContext) -> Callable[[LogRecord], object]:
    if asked.options["json"]:
        return lambda each: asked.say(
            json.dumps(
                {
                    "time": each.time or None,
                    "level": each.level or None,
                    "pid": each.pid,
                    "worker": each.slot,
                    "message": each.message,
                }
            )
        )
    if not wants_colour(sys.stdout.fileno()):
        return lambda each: asked.say(indented(each.text))
    return lambda each: asked.say(_coloured(each))


def _coloured(record: LogRecord) -> str:
    style = _STYLES.get(record.level)
    text = indented(record.text)
    return f"{style}{text}\x1b[0m" if style else text


def _source(target: str | None, *, access: bool) -> Source:
    """Where the log of a server goes. That of ``pyfork start`` is there after the server, too."""
    try:
        server = client.find(target)
    except PyforkError:
        left = os.path.join(state_directory(), f"{target}.log")
        if target and "/" not in target and not access and os.path.isfile(left):
            return Source(left)
        raise
    with closing(server):
        (answer,) = server.ask("describe")
    if not answer["ok"]:
        raise PyforkError(answer["error"])
    return _described(answer, access=access)


def _described(answer: dict[str, Any], *, access: bool) -> Source:
    start = answer["start"]
    name = "access" if access else "error"
    place = start["logs"][name]
    if place is None:
        raise PyforkError("this server has no access log: see --access-logfile")
    if os.path.isfile(place):
        return Source(place)
    if "JOURNAL_STREAM" in start["environment"] and (unit := _unit(answer["status"]["pid"])):
        return Source(None, unit)
    raise PyforkError(f"the {name} log goes to {place}, which cannot be read from here")


def _unit(pid: int) -> str | None:
    """The unit of systemd that a process belongs to."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            groups = file.read().split()
    except OSError:
        return None
    units = [part for group in groups for part in group.split("/") if part.endswith(".service")]
    return units[-1] if units else None


def _journal(unit: str, count: int, *, follow: bool) -> Iterator[LogRecord]:
    """Raises PyforkError: journalctl is not there, or fails."""
    command = ["journalctl", "--unit", unit, "--lines", str(count), "--output", "cat"]
    if os.geteuid() != 0 and unit.startswith("user@"):
        command.insert(1, "--user")
    try:
        process = subprocess.Popen(
            [*command, *(["--follow"] if follow else [])], stdout=subprocess.PIPE, text=True
        )
    except OSError as error:
        raise PyforkError(f"the log is in the journal: journalctl: {error.strerror}") from None
    with process:
        assert process.stdout
        for line in process.stdout:
            yield LogRecord.parse(line.rstrip("\n"))
    if process.returncode:
        raise PyforkError(f"journalctl ended with exit status {process.returncode}")
