"""The supervisor's records of workers and generations. Pure; no decisions."""

from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum

from pyfork.record import entity, field, record
from pyfork.supervisor.backoff import Backoff
from pyfork.supervisor.events import Policy


class WorkerState(Enum):
    """The state of a worker. Only the first two are active."""

    BOOTING = "booting"
    SERVING = "serving"
    RETIRING = "retiring"  # told to drain
    DYING = "dying"  # failed or aborted: exits any moment
    KILLED = "killed"


# Every transition, with its cause. docs/states.md is made of it.
TRANSITIONS: dict[WorkerState, dict[WorkerState, str]] = {
    WorkerState.BOOTING: {
        WorkerState.SERVING: "Ready",
        WorkerState.DYING: "BootFailed, or later than boot_timeout",
        WorkerState.KILLED: "a stop, or no longer wanted",
    },
    WorkerState.SERVING: {
        WorkerState.RETIRING: "a stop, a newer worker serves, or no longer wanted",
        WorkerState.DYING: "the heartbeat deadline has passed twice",
        WorkerState.KILLED: "a forced stop",
    },
    WorkerState.RETIRING: {
        WorkerState.RETIRING: "a stop that leaves less time",
        WorkerState.KILLED: "the grace is over, or a forced stop",
    },
    WorkerState.DYING: {WorkerState.KILLED: "it did not exit, or a forced stop"},
    WorkerState.KILLED: {},
}


class StopMode(IntEnum):
    """How the server stops, in the order of escalation."""

    NONE = 0
    GRACEFUL = 1
    QUICK = 2
    FORCED = 3


@entity(kw_only=True)
class WorkerRecord:
    """One worker process, from Spawn to Exited."""

    serial: int
    slot: int
    generation: "Generation"
    state: WorkerState = WorkerState.BOOTING
    deadline: float | None = None  # when its state times out or is checked again
    spawned_at: float = 0.0
    ready_at: float | None = None
    heartbeat_deadline: float = 0.0  # from the scoreboard; zero: none
    suspect: bool = False  # the heartbeat deadline had passed at the last check
    recycle: bool = False  # it asked to be replaced

    @property
    def policy(self) -> Policy:
        """The policy of its generation."""
        return self.generation.policy

    @property
    def is_active(self) -> bool:
        """Whether it serves or boots."""
        return self.state in (WorkerState.BOOTING, WorkerState.SERVING)

    def uptime(self, now: float) -> float:
        """Seconds since it was ready; zero if it never was."""
        return now - self.ready_at if self.ready_at is not None else 0.0

    def next_check(self, now: float) -> float | None:
        """When its heartbeat is checked next: at the deadline that it wrote, if it wrote one."""
        if self.heartbeat_deadline:
            return self.heartbeat_deadline
        return now + self.policy.timeout if self.policy.timeout else None

    def transition_to(self, state: WorkerState, deadline: float | None) -> None:
        """Enter the next state, until ``deadline``."""
        assert state in TRANSITIONS[self.state], f"{self.state} to {state}"
        self.state, self.deadline = state, deadline


@record(kw_only=True)
class SavedWorker:
    """A worker that lives through an exec of the arbiter. Times are monotonic seconds."""

    serial: int
    slot: int
    generation: int
    ready_at: float
    retire_by: float | None  # when it must have drained; None: it serves
    recycle: bool = False  # it asked to be replaced

    # For the arbiter alone.
    pid: int
    born: float
    channel: int  # fd of the arbiter's end
    row: int  # index on the scoreboard
    fd_queues: Mapping[str, Sequence[int]] = {}
    listens_to: Sequence[str] = ()  # keys of listeners that the arbiter assigns
    stacks: int = -1  # fd of the file for its stacks; -1: an older release has forked it

    def fds(self) -> tuple[int, ...]:
        """All descriptors of the worker."""
        queues = (fd for ends in self.fd_queues.values() for fd in ends)
        return (self.channel, *queues, *((self.stacks,) if self.stacks >= 0 else ()))

    def to_record(self, serving: "Generation") -> WorkerRecord:
        """The supervisor's record of it; ``serving`` is the generation that serves."""
        own = self.generation == serving.number
        return WorkerRecord(
            serial=self.serial,
            slot=self.slot,
            generation=serving if own else Generation(self.generation, serving.policy, 0),
            state=WorkerState.SERVING if self.retire_by is None else WorkerState.RETIRING,
            deadline=self.retire_by,
            ready_at=self.ready_at,
            recycle=self.recycle,
        )


@record
class BootFailure:
    """Why a generation cannot boot."""

    reason: str
    detail: str = ""


@entity
class Generation:
    """One generation of code and configuration."""

    number: int
    policy: Policy
    size: int  # number of slots: the policy's workers, as scaled since
    active: bool = False
    boot_failures: int = 0  # exits before any worker was ready
    any_ready: bool = False
    failure: BootFailure | None = None
    backoffs: dict[int, Backoff] = field(default_factory=dict)  # by slot
    others_after: float = 0.0  # the end of the first worker's head start

    def backoff(self, slot: int) -> Backoff:
        """The back-off of a slot."""
        return self.backoffs.setdefault(slot, Backoff())

    def retry_at(self, slot: int) -> float:
        """When a worker may be spawned in a slot."""
        return max(self.backoff(slot).retry_at, self.others_after)
