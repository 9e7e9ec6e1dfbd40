"""The context of a command: its options, its server, and its two outputs."""

import json
from collections.abc import Callable
from typing import Any

from pyfork.ctl import client, tables
from pyfork.errors import ConfigError, ExitStatus
from pyfork.log.formatter import printable
from pyfork.record import record

Say = Callable[[str], object]


@record
class ControlCommand:
    """One line of the table."""

    help: str
    run: Callable[["CommandContext"], ExitStatus]
    options: dict[str, str]  # flags, with a name for the value if they take one -> help
    words: tuple[str, ...] = ()  # before TARGET
    more: tuple[str, ...] = ()  # behind TARGET; they can be left out
    target: bool = True  # it takes the name of a server
    finds: bool = True  # that server has to run
    behind: bool = False  # a command line may stand behind --, in place of TARGET


@record
class CommandContext:
    """One command line, understood, and the server that it means."""

    found: client.ControlClient | None  # None: the command is not about one server
    options: dict[str, Any]
    say: Say
    print_error: Say

    @property
    def server(self) -> client.ControlClient:
        """The server that is meant."""
        assert self.found is not None
        return self.found

    @property
    def who(self) -> str:
        """The server, for a message."""
        status = self.server.status
        return f"{printable(status['name'] or 'server')} (pid {status['pid']})"

    def tell(self, answer: dict[str, Any], text: str) -> None:
        """Say what has come, in the form that was asked for."""
        self.say(json.dumps(answer) if self.options["json"] else text)

    def refuse(self, what: str, answer: dict[str, Any]) -> ExitStatus:
        """Say that it did not succeed, and why."""
        if self.options["json"]:
            self.say(json.dumps(answer))
        else:
            answer = tables.readable(answer)
            detail = answer.get("detail") or ""
            self.print_error(f"pyfork: error: {what}: {answer['error']}")
            if detail:
                self.print_error(detail)
        return ExitStatus.FAILED

    def slot(self, name: str = "worker") -> int | None:
        """The value of ``--worker``, or of a word, if it was given.

        Raises:
            ConfigError: it is no number.
        """
        text = self.options[name]
        if text is None:
            return None
        if not text.isdecimal():
            shown = "--worker" if name == "worker" else name.upper()
            raise ConfigError(f"{shown}: {text!r} is not the number of a slot, such as 0")
        return int(text)
