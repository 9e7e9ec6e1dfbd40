"""What is to be done: everything that the supervisor orders.

Actions are imperative, frozen, and given once. Pure.
"""

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
    """Tell a worker to drain and to leave within ``grace`` seconds; zero cuts what still runs."""

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
    """The generation serves at full strength: what only lower ones used may go."""

    generation: int


@record
class Discard:
    """The generation will not be: what only it used may go."""

    generation: int
    reason: str
    detail: str = ""  # the application's traceback


@record
class Exit:
    """All workers are gone: leave with this status."""

    status: ExitStatus
    reason: str = ""  # empty when a stop was asked for


Action = Spawn | Retire | Abort | Kill | Activate | Discard | Exit
