"""The errors of pyfork, with their exit statuses.

Here lives every exit status and every exception that crosses from one room to another.
Nothing here imports anything of pyfork.
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of the ``pyfork`` command and of its workers."""

    OK = 0
    FAILED = 1  # an operation was asked for and did not succeed
    USAGE = 2  # bad command line, environment or configuration file
    BOOT = 3  # the application could not be loaded, or its start-up failed
    BIND = 4  # an address could not be bound


class PyforkError(Exception):
    """Base of the errors that end a command: ``str(error)`` says what happened and what to do.

    ``detail`` is the traceback of the user's own code, where that is to blame, or an empty string.
    """

    status = ExitStatus.FAILED

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class ConfigError(PyforkError):
    """A setting is unknown or has a bad value, or a configuration file that is a program fails."""

    status = ExitStatus.USAGE


class HookError(PyforkError):
    """A function of the configuration file raised something."""


class BindError(PyforkError):
    """A listener could not be made."""

    status = ExitStatus.BIND


class BootError(PyforkError):
    """The application could not be loaded or did not start."""

    status = ExitStatus.BOOT


class ProtocolError(Exception):
    """A client broke HTTP, or passed a limit.

    ``status`` is the HTTP status code to answer with before the connection is closed.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
