"""The actions that the supervisor returns. Each is frozen and returned once. Pure."""

from pyfork.errors import ExitStatus
from pyfork.record import record


@record
class Spawn:
    """Fork a worker."""

    worker: int  # its serial
    slot: int
    generation: int


@record
class Retire:
    """Tell a worker to drain and exit within ``grace`` seconds; zero cuts running requests."""

    worker: int
    grace: float


@record
class Abort:
    """Send SIGABRT: the worker writes the stacks of its threads and dies."""

    worker: int
    reason: str


@record
class Kill:
    """Send SIGKILL."""

    worker: int
    reason: str


@record
class Activate:
    """All workers of the generation are ready: release what only lower ones used."""

    generation: int


@record
class Discard:
    """The generation has failed: release what only it used."""

    generation: int
    reason: str
    detail: str = ""  # the application's traceback


@record
class Exit:
    """All workers have exited: exit with this status."""

    status: ExitStatus
    reason: str = ""  # empty after a stop that an operator asked for


Action = Spawn | Retire | Abort | Kill | Activate | Discard | Exit
