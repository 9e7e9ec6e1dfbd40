"""``pyfork start``: a server that is detached from the terminal.

The command returns when the server serves, or has ended with the reason. The output
of the server and its application goes to a file of its own.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pyfork.config.command_line.arguments import parse
from pyfork.config.config import Config
from pyfork.config.load import load
from pyfork.ctl import client, processes, tables
from pyfork.errors import ConfigError, ExitStatus, PyforkError
from pyfork.log.formatter import printable
from pyfork.record import record
from pyfork.system.environment import state_directory

LOOK = 0.05  # seconds between two looks at the server
SHOWN = 16 << 10  # bytes of the log that are shown when the server does not start

Say = Callable[[str], object]

_HELP = """Usage: pyfork start [serve|run] ARGS...

  Start a server as pyfork serve or pyfork run does with the same ARGS, detached from this terminal.
  Return when the server serves, with exit status 0; or show what it has logged, with its exit
  status, if it ends before that.

  The output of the server and the application goes to a file, which is named at the end. It is in
  $XDG_STATE_HOME/pyfork (~/.local/state/pyfork), or in /var/log/pyfork for root."""


@record
class _Start:
    """A server that was started and may not serve yet."""

    process: "subprocess.Popen[bytes]"
    log: str  # path
    offset: int  # bytes of the log that were there before


def run(argv: Sequence[str], say: Say, print_error: Say) -> int:
    """Start a server. Returns the exit status.

    Raises:
        PyforkError: a server of this name runs already, or the log cannot be written.
    """
    if not argv or argv[0] in ("-h", "--help"):
        say(_HELP)
        return ExitStatus.OK if argv else ExitStatus.USAGE
    config = read_config(argv)
    if config.control == "off":
        raise ConfigError("pyfork start needs the control socket, and --control is off")
    if config.name and (running := client.find_running([config.name], config.control)):
        pid = running.status["pid"]
        running.close()
        raise PyforkError(f"{printable(config.name)} runs already (pid {pid})")
    started = _spawn(argv, config)
    try:
        return _wait(started, say, print_error)
    except KeyboardInterrupt:
        started.process.terminate()
        raise


def read_config(argv: Sequence[str]) -> Config:
    """The settings, as the server will read them. Raises ConfigError."""
    words = list(argv[1:] if argv[0] in ("serve", "run") else argv)
    if "--" in words:
        del words[words.index("--") :]
    if argv[0] == "run" and "-m" in words[:-1]:
        at = words.index("-m")
        words[at : at + 2] = [words[at + 1]]
    arguments = parse(words)
    if arguments.action != "serve":
        flag = "--" + arguments.action.replace("_", "-")
        raise ConfigError(f"{flag} starts no server: leave start out")
    return load(arguments, os.environ, os.getcwd()).config


def _spawn(argv: Sequence[str], config: Config) -> _Start:
    """Raises PyforkError: the log cannot be written."""
    name = re.sub(r"[^\w.-]+", "_", config.name or config.app or "pyfork").strip("._") or "pyfork"
    path = os.path.join(state_directory(), f"{name}.log")
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise PyforkError(f"{path}: the log cannot be written: {error.strerror}") from None
    try:
        offset = os.fstat(log).st_size
        process = subprocess.Popen(
            [*program(), *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    return _Start(process, path, offset)


def program() -> list[str]:
    """The pyfork that runs now: so an upgrade finds the same one again."""
    installed = os.path.basename(sys.argv[0]) == "pyfork" and os.path.isfile(sys.argv[0])
    return [sys.executable, *([sys.argv[0]] if installed else ["-m", "pyfork"])]


def _wait(started: _Start, say: Say, print_error: Say) -> int:
    while (ended := started.process.poll()) is None:
        if (status := _status(started.process.pid)) is not None:
            if status["broken"]:
                print_error(f"pyfork: error: the application does not load: {status['broken']}")
                say(_report(status, started.log))
                return ExitStatus.FAILED
            if status["ready"]:
                say(_report(status, started.log))
                return ExitStatus.OK
        time.sleep(LOOK)
    print_error(f"pyfork: error: the server ended with exit status {ended}; its log was:")
    print_error(_last_words(started))
    return ended if ended > 0 else ExitStatus.FAILED


def _status(pid: int) -> dict[str, Any] | None:
    """The status of the server, as soon as it answers."""
    control = processes.control_socket(pid)
    if control is None:
        return None
    with suppress(OSError, PyforkError):
        found = client.ControlClient(control).read_status(client.PATIENCE)
        found.close()
        return found.status
    return None


def _report(status: dict[str, Any], log: str) -> str:
    status = tables.readable(status)
    name = status["name"] or status["app"]
    where = ", ".join(status["addresses"]) or "no address"
    return f"{name} (pid {status['pid']}) serves on {where}; its output goes to {log}"


def _last_words(started: _Start) -> str:
    with open(started.log, "rb") as log:
        end = log.seek(0, os.SEEK_END)
        log.seek(max(started.offset, end - SHOWN))
        text = log.read().decode(errors="replace")
    return "\n".join(printable(line) for line in text.rstrip("\n").split("\n"))
