"""What can happen: everything that the supervisor is told.

Facts are past or adjective, frozen, and true when they are told; they may come late, twice or
never. A worker is known by a serial that is never used again, so that a late fact cannot hit
another worker. Pure.
"""

from enum import Enum, auto

from pyfork.record import record


@record(kw_only=True)
class Policy:
    """What the supervisor needs of a configuration. Times in seconds."""

    workers: int = 1
    timeout: float = 30.0  # how long a worker may go without moving its promise; zero: for ever
    boot_timeout: float = 60.0  # zero: for ever
    graceful_timeout: float = 30.0
    drain_delay: float = 0.0  # between a graceful stop and the first worker that is told of it
    head_start: float = 0.0  # that the very first worker has, before there are others
    boot_parallel: int = 0  # how many workers of the serving generation boot at a time; zero: all
    reload_parallel: int = 1  # how many workers of a new generation boot at a time
    margin: float = 2.0  # that a worker gets beyond its grace, for its own cut and shutdown
    persistent: bool = False  # a first generation of which nobody lives long is tried for ever


@record
class Ready:
    """The worker accepts connections."""

    worker: int


@record
class BootFailed:
    """The worker could not boot the application; its exit will follow."""

    worker: int
    reason: str
    detail: str = ""  # the application's traceback


@record
class Exited:
    """The worker's process is gone, or could never be forked."""

    worker: int
    how: str  # "exit status 1", "killed by SIGSEGV", ...


@record
class RecycleRequested:
    """The worker serves on, but wants to be replaced."""

    worker: int
    reason: str


@record
class HeartbeatMoved:
    """The worker's scoreboard line says that it will move this deadline before it passes."""

    worker: int
    deadline: float  # zero: no promise


class OperatorCommand(Enum):
    """What an operator may ask for."""

    STOP = auto()
    QUICK_STOP = auto()
    KILL_ALL = auto()
    RETIRE_ALL = auto()
    HAND_OVER = auto()  # another arbiter serves: stop gracefully, and without delay
    STOP_FOR_GOOD = auto()  # and do not carry on, whatever becomes of it
    RESUME = auto()  # it is gone: do not stop after all


@record
class Reload:
    """A wish for a new generation. It is answered once, by Adopt or by Abandon."""

    generation: int  # higher than any before
    policy: Policy


@record
class Scale:
    """So many workers, or so many more, but at least one, until the next reload."""

    to: int | None = None
    by: int = 0


@record
class DrainSlot:
    """A wish that no worker serves in a slot, until it is resumed. A reload does not end that."""

    slot: int


@record
class ResumeSlot:
    """A wish that a worker serves in a slot again."""

    slot: int


Wish = OperatorCommand | Reload | Scale | DrainSlot | ResumeSlot


@record
class CommandReceived:
    """An operator wants something."""

    wish: Wish


@record
class Alone:
    """The arbiter that serves until this one is ready is gone: no other process serves."""


Event = Ready | BootFailed | Exited | RecycleRequested | HeartbeatMoved | CommandReceived | Alone
