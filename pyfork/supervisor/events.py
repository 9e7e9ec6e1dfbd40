"""The events that the supervisor is fed.

An event is frozen, and was true when it was fed; it may arrive late, twice or never. A worker is
named by a serial that is never used again, so that a late event cannot hit another worker. Pure.
"""

from enum import Enum, auto

from pyfork.record import record


@record(kw_only=True)
class Policy:
    """The settings that the supervisor uses. Times are in seconds."""

    workers: int = 1
    timeout: float = 30.0  # in which a worker must move its heartbeat deadline; zero: no limit
    boot_timeout: float = 60.0  # zero: no limit
    graceful_timeout: float = 30.0
    drain_delay: float = 0.0  # between a graceful stop and the first worker that drains
    head_start: float = 0.0  # of the first worker, before the others are spawned
    boot_parallel: int = 0  # how many workers of the serving generation boot at a time; zero: all
    reload_parallel: int = 1  # how many workers of a new generation boot at a time
    margin: float = 2.0  # beyond the grace of a worker, for its own shutdown
    persistent: bool = False  # a first generation that cannot boot is retried for ever


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
    """The worker's process has exited, or could not be forked."""

    worker: int
    how: str  # "exit status 1", "killed by SIGSEGV", ...


@record
class RecycleRequested:
    """The worker keeps serving, and asks to be replaced."""

    worker: int
    reason: str


@record
class HeartbeatMoved:
    """The worker has written a new heartbeat deadline: it will move it again before it passes."""

    worker: int
    deadline: float  # zero: none


class OperatorCommand(Enum):
    """A command without arguments."""

    STOP = auto()
    QUICK_STOP = auto()
    KILL_ALL = auto()
    RETIRE_ALL = auto()
    HAND_OVER = auto()  # another arbiter serves: stop gracefully, without delay
    STOP_FOR_GOOD = auto()  # and do not resume if that arbiter goes
    RESUME = auto()  # that arbiter is gone: do not stop after all


@record
class Reload:
    """Start a new generation. One Activate or one Discard follows."""

    generation: int  # higher than any before
    policy: Policy


@record
class Scale:
    """Run ``to`` workers, or ``by`` more, but at least one, until the next reload."""

    to: int | None = None
    by: int = 0


@record
class DrainSlot:
    """Keep a slot without a worker until it is resumed, also through a reload."""

    slot: int


@record
class ResumeSlot:
    """Run a worker in a drained slot again."""

    slot: int


Command = OperatorCommand | Reload | Scale | DrainSlot | ResumeSlot


@record
class CommandReceived:
    """An operator has given a command."""

    command: Command


@record
class Alone:
    """The old arbiter is gone before this one was ready: no other process serves."""


Event = Ready | BootFailed | Exited | RecycleRequested | HeartbeatMoved | CommandReceived | Alone
