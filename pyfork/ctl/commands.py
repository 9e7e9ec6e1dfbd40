"""The commands that speak to a running server: their options, and what comes of them.

Nothing here prints or exits: text goes to the two functions that the caller gives.
"""

import re
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pyfork.config.command_line.getopt import CommandSpec, Option, ParsedOption, read
from pyfork.config.command_line.help import help_text
from pyfork.ctl import (
    client,
    description,
    doctor,
    history,
    listing,
    logs,
    slots,
    stack,
    tables,
    unit,
)
from pyfork.ctl.context import CommandContext, ControlCommand, Say
from pyfork.errors import ConfigError, ExitStatus, PyforkError


def run(name: str, argv: Sequence[str], say: Say, complain: Say) -> int:
    """Run the command ``name``; returns the exit status.

    Raises:
        PyforkError: it cannot be run.
    """
    name = ALIASES.get(name, name)
    command = COMMANDS[name]
    if "--help" in argv or "-h" in argv:  # whatever else is missing
        say(_usage(name, command))
        return ExitStatus.OK
    options = _parse(name, command, argv)
    try:
        if not command.finds:
            return command.run(CommandContext(None, options, say, complain))
        server = client.find(options["target"])
        try:
            return command.run(CommandContext(server, options, say, complain))
        finally:
            server.close()
    except OSError as error:  # a lost connection, or no answer in time
        raise PyforkError(f"the server did not answer: {error.strerror or error}") from error


def verbs() -> list[CommandSpec]:
    """The commands as the command line sees them."""
    return [
        CommandSpec(name, command.help, tuple(_options(command)))
        for name, command in COMMANDS.items()
    ]


def _status(asked: CommandContext) -> ExitStatus:
    status = asked.server.status
    if not asked.options["quiet"]:
        asked.tell(status, tables.status(status))
    return ExitStatus.OK if status["ready"] else ExitStatus.FAILED


def _list(asked: CommandContext) -> ExitStatus:
    watch = asked.options["watch"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        listing.run(
            asked.say, as_json=asked.options["json"], watch=watch, terminal=sys.stdout.isatty()
        )
    except KeyboardInterrupt:
        if not watch:
            raise
    return ExitStatus.OK


def _top(asked: CommandContext) -> ExitStatus:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        from pyfork.ctl import top
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("rich"):
            raise
        raise PyforkError("pyfork top needs rich: pip install 'pyfork[top]'") from None
    top.run(asked.options["target"])
    return ExitStatus.OK


def _sockets(asked: CommandContext) -> ExitStatus:
    (answer,) = asked.server.ask("sockets")
    if not answer["ok"]:
        return asked.refuse("no answer", answer)
    asked.tell(answer, tables.sockets(answer["sockets"]))
    return ExitStatus.OK


def _reload(asked: CommandContext) -> ExitStatus:
    return _new_generation(asked, "reload", "the old code keeps serving")


def _rollback(asked: CommandContext) -> ExitStatus:
    return _new_generation(asked, "rollback", "nothing has changed")


def _new_generation(asked: CommandContext, request: str, unchanged: str) -> ExitStatus:
    wait = asked.options["wait"]
    for answer in asked.server.ask(request, wait=wait):
        if progress := answer.get("progress"):
            ready = f"{progress['ready']} of {progress['of'] or '?'} workers are ready"
            asked.tell(answer, f"generation {progress['generation']}: {ready}")
        elif not answer["ok"]:
            page = "generation" in answer  # it serves the reason, in development
            then = "and clients are told why" if page else unchanged
            return asked.refuse(f"{request} failed, {then}", answer)
        else:
            does = "serves" if wait else "boots"
            asked.tell(answer, f"{asked.who}: generation {answer['generation']} {does}")
    return ExitStatus.OK


def _upgrade(asked: CommandContext) -> ExitStatus:
    wait = asked.options["wait"]
    for answer in asked.server.ask("upgrade", wait=wait):
        if progress := answer.get("progress"):
            asked.tell(answer, _STAGES.get(progress["stage"], progress["stage"]))
        elif not answer["ok"]:
            return asked.refuse("upgrade failed, the old program keeps serving", answer)
        else:
            does = "has been upgraded" if wait else "checks the new program"
            asked.tell(answer, f"{asked.who} {does}")
    return ExitStatus.OK


def _stop(asked: CommandContext) -> ExitStatus:
    (answer,) = asked.server.ask("stop", quick=asked.options["quick"])
    if not answer["ok"]:
        return asked.refuse("stop failed", answer)
    if asked.options["wait"]:
        asked.server.wait_end()
    asked.tell(answer, f"{asked.who} {'has stopped' if asked.options['wait'] else 'is stopping'}")
    return ExitStatus.OK


def _scale(asked: CommandContext) -> ExitStatus:
    text = asked.options["n"]
    if not _is_amount(text):
        raise ConfigError(f"{text!r} is not a number of workers, such as 4, +1 or -1")
    how: dict[str, Any] = {"to" if text[0].isdigit() else "by": int(text)}
    (answer,) = asked.server.ask("scale", **how)
    if not answer["ok"]:
        return asked.refuse("not scaled", answer)
    asked.tell(answer, f"{asked.who} scales to {answer['workers']}")
    return ExitStatus.OK


def _is_amount(text: object) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,6}", str(text)) is not None


def _is_turned_round(said: Mapping[str, ParsedOption]) -> bool:
    """Whether TARGET stands before N."""
    both = "n" in said and "target" in said
    return both and _is_amount(said["target"].raw) and not _is_amount(said["n"].raw)


_STAGES = {
    "checking": "the new program is checked",
    "dry-run": "dry run of the new program",
    "quiescing": "waiting until nothing is in transition",
    "starting": "the new arbiter boots",
    "reloading": "the new program boots its workers",
}

COMMANDS: dict[str, ControlCommand] = {
    "list": ControlCommand(
        "List the servers that run. A user sees those of that user, root all.",
        _list,
        {"--watch": "Refresh each second, until Ctrl-C."},
        target=False,
        finds=False,
    ),
    "status": ControlCommand(
        "Show a server and its workers. The exit status is 0 if all of them serve, else 1.",
        _status,
        {"--quiet": "Show nothing; the exit status is the answer."},
    ),
    "describe": ControlCommand(
        "Show how a server was started and set up: settings with their sources, log files, "
        "listeners and limits.",
        description.run,
        {},
    ),
    "sockets": ControlCommand(
        "Show the listening sockets: owner, processes that share each one, and queue.",
        _sockets,
        {},
    ),
    "reload": ControlCommand(
        "Reload configuration and application. If that fails, nothing changes.",
        _reload,
        {"--wait": "Wait until the new workers serve. If they fail, show why; exit status 1."},
    ),
    "rollback": ControlCommand(
        "Restore the former generation from memory (--preload --keep-previous).",
        _rollback,
        {"--wait": "Wait until its workers serve. If they fail, show why; exit status 1."},
    ),
    "upgrade": ControlCommand(
        "Replace pyfork itself and the interpreter with the installed versions.",
        _upgrade,
        {"--wait": "Wait until the new program serves. If it fails, show why; exit status 1."},
    ),
    "stop": ControlCommand(
        "Stop a server gracefully.",
        _stop,
        {"--quick": "Cut the requests that run.", "--wait": "Wait until it has ended."},
    ),
    "restart": ControlCommand(
        "Replace every worker by a fresh one of the same generation, the replacement first.",
        slots.restart,
        {
            "--worker SLOT": "Only the worker of this slot.",
            "--wait": "Wait until the new workers serve. If one fails, show why; exit status 1.",
        },
    ),
    "drain": ControlCommand(
        "Take a worker out of service. It finishes its requests. No other one takes its place "
        "before pyfork resume.",
        slots.drain,
        {"--worker SLOT": "The slot.", "--wait": "Wait until the worker takes no more requests."},
    ),
    "resume": ControlCommand(
        "Serve drained slots again.",
        slots.resume,
        {"--worker SLOT": "Only this slot."},
    ),
    "history": ControlCommand(
        "Show how workers, reloads and upgrades ended.",
        history.run,
        {
            "--full": "With tracebacks.",
            "--lines N": "The last N entries only.",
        },
    ),
    "stack": ControlCommand(
        "Show the stacks of all threads and tasks of the workers. Each has the request that it "
        "serves; the innermost frame comes first. The workers go on. Of a blocked one there "
        "are no asyncio tasks.",
        stack.run,
        {"--worker SLOT": "Only the worker of this slot, as behind TARGET."},
        more=("slot",),
    ),
    "logs": ControlCommand(
        "Show the log of a server. It shows the last 50 records, and with --follow new ones.",
        logs.run,
        {
            "-f --follow": "Show new records, also after a rotation of the file.",
            "--lines N": "The last N records.",
            "--worker SLOT": "Only records of the worker in this slot.",
            "--grep RE": "Only records that match this regular expression.",
            "--access": "The access log.",
        },
        finds=False,
    ),
    "unit": ControlCommand(
        "Print a systemd unit for a running server, or for the command line after --.",
        unit.run,
        {
            "--socket": "Print the socket unit: systemd keeps the port.",
            "--user": "Print a unit for the user's own manager.",
        },
        finds=False,
        behind=True,
    ),
    "doctor": ControlCommand(
        "Name the risks of a server, each with its fix. The exit status is 1 if any is serious. "
        "TARGET may be an application, such as shop.wsgi, that does not run yet.",
        doctor.run,
        {},
        finds=False,
    ),
    "top": ControlCommand(
        "Show all servers and their workers, live. With TARGET, show one server.",
        _top,
        {},
        finds=False,
    ),
    "scale": ControlCommand(
        "Change the number of workers until the next reload: to N, or by +N or -N.",
        _scale,
        {},
        words=("n",),
    ),
}

ALIASES = {"ls": "list", "ps": "list"}

_COMMON = {"--json": "JSON, one object a line.", "--help": "Show this text and exit."}
_TARGET = (
    "TARGET is a server's name, the process id of its arbiter, one of its addresses (HOST:PORT, "
    ":PORT, unix:PATH), or the path of its control socket. The default is the only running "
    "server, or the one that was started from this directory."
)


def _options(command: ControlCommand) -> list[Option]:
    options = []
    for written, help in (command.options | _COMMON).items():
        words = written.split()
        flags = tuple(word for word in words if word.startswith("-"))
        metavar = "" if len(flags) == len(words) else words[-1]
        options.append(Option(flags[-1].removeprefix("--"), flags, help, metavar))
    return options


def _usage(name: str, command: ControlCommand) -> str:
    operands = [word.upper() for word in command.words]
    operands += ["[TARGET]"] if command.target else []
    operands += [f"[{word.upper()}]" for word in command.more]
    operands += ["| -- ARGS..."] if command.behind else []
    end = _TARGET if command.target else ""
    return help_text(f"pyfork {name}", command.help, _options(command), operands, end=end)


def _parse(name: str, command: ControlCommand, argv: Sequence[str]) -> dict[str, Any]:
    """A value for each option and word.

    Raises:
        ConfigError: an option is unknown, or there are too many words, or too few.
    """
    options = _options(command)
    behind: list[str] = []
    if command.behind and "--" in argv:
        at = list(argv).index("--")
        argv, behind = argv[:at], list(argv[at + 1 :])
    target = ["target"] if command.target else []
    said = read(argv, options, [*command.words, *target, *command.more])
    for word in command.words:
        if word not in said:
            raise ConfigError(f"{word.upper()} is missing; see pyfork {name} --help")
    if _is_turned_round(said):
        said["n"], said["target"] = said["target"], said["n"]  # pyfork scale shop 6
    absent: dict[str, Any] = {"target": None, "behind": behind} | dict.fromkeys(command.more)
    absent |= {option.name: None if option.metavar else False for option in options}
    return absent | {each: given.raw for each, given in said.items()}
