"""The command line of the new program, and its execution in a child or in this process.

Rules: decides nothing.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import IO

from pyfork.config.directory import Start, within
from pyfork.errors import ConfigError, HookError
from pyfork.log.sink import write_to_stderr
from pyfork.system import systemd_env
from pyfork.system.memfd import anonymous_file

log = logging.getLogger("pyfork.error")

_MAX_STDERR = 16 << 10  # bytes at its end that are kept


def command_line() -> list[str]:
    """The command line of this process."""
    return [sys.executable, *sys.orig_argv[1:]]


def check_command(command: list[str]) -> list[str]:
    """The same with --check-config. Arguments after -- are those of a script."""
    end = command.index("--") if "--" in command else len(command)
    return [*command[:end], "--check-config", *command[end:]]


def exec_command(
    command: list[str], environ: dict[str, str], start: Start, *, keep: Iterable[int] = ()
) -> None:
    """Execute ``command`` in this process, in the directory ``start``, with the fds ``keep``.

    Raises:
        ConfigError: the directory does not exist.
        OSError: the command cannot be executed.
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
    stderr: IO[bytes] | None = None,
    before: Callable[[], None] | None = None,
) -> int:
    """In a child: execute ``command``; or write the error, and return the exit status.

    ``stderr``: a file for its stderr; its stdout is discarded then. ``before`` is called first, and
    may raise HookError.
    """
    try:
        if before is not None:
            before()
    except HookError as error:
        log.error("%s\n%s", error, error.detail)
        return 1
    if stderr is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(stderr.fileno(), 2)
    try:
        exec_command(
            command, systemd_env.retarget_pid(environ, os.getppid(), os.getpid()), start, keep=keep
        )
    except ConfigError as error:
        write_to_stderr(f"error: {error}")
    except OSError as error:
        write_to_stderr(f"error: cannot execute {command[0]}: {error.strerror}")
    return 1


class StderrCapture:
    """An anonymous file for the stderr of a child."""

    def __init__(self) -> None:
        self.file = anonymous_file("pyfork-stderr")

    def take(self) -> str:
        """The text that was written, up to a limit; closes the file."""
        with self.file as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MAX_STDERR))
            return file.read().decode(errors="replace").strip()
