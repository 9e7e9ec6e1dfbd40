"""The program that follows this one: its command line, and what becomes a process of it.

Rules: runs in a child, or as the last thing that this process does; decides nothing.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import IO

from pyfork.config.directory import Start, within
from pyfork.errors import ConfigError, HookError
from pyfork.log.sink import say
from pyfork.system import systemd_env
from pyfork.system.memfd import anonymous_file

log = logging.getLogger("pyfork.error")

_TOLD = 16 << 10  # bytes of a failed check's last words that are kept


def command_line() -> list[str]:
    """The command line that this process was started with."""
    return [sys.executable, *sys.orig_argv[1:]]


def check_command(command: list[str]) -> list[str]:
    """The same, only to check the configuration. What stands behind -- is a script's."""
    end = command.index("--") if "--" in command else len(command)
    return [*command[:end], "--check-config", *command[end:]]


def exec_command(
    command: list[str], environ: dict[str, str], start: Start, *, keep: Iterable[int] = ()
) -> None:
    """Execute ``command`` in this process, with the fds of ``keep``, in the directory ``start``.

    Raises:
        ConfigError: that directory is not there.
        OSError: it cannot be executed.
    """
    start.check()
    for fd in keep:
        os.set_inheritable(fd, True)
    with within(start.logical):
        os.execve(command[0], command, environ)


def exec_or_report(
    command: list[str],
    environ: dict[str, str],
    start: Start,
    *,
    keep: Iterable[int] = (),
    words: IO[bytes] | None = None,
    before: Callable[[], None] | None = None,
) -> int:
    """In a child: become ``command``, or say why that cannot be, and return the exit status.

    ``words``: where its stderr goes; its stdout is of no interest then. ``before`` is called
    first, and may raise HookError.
    """
    try:
        if before is not None:
            before()
    except HookError as error:
        log.error("%s\n%s", error, error.detail)
        return 1
    if words is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(words.fileno(), 2)
    try:
        exec_command(
            command, systemd_env.retarget_pid(environ, os.getppid(), os.getpid()), start, keep=keep
        )
    except ConfigError as error:
        say(f"error: {error}")
    except OSError as error:
        say(f"error: cannot execute {command[0]}: {error.strerror}")
    return 1


class StderrCapture:
    """A nameless file for what a child writes to stderr."""

    def __init__(self) -> None:
        self.file = anonymous_file("pyfork-words")

    def take(self) -> str:
        """What was written; the file is gone then."""
        with self.file as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TOLD))
            return file.read().decode(errors="replace").strip()
