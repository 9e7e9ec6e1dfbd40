"""What the supervisor knows of each worker and each generation. Pure; no decisions."""

from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum

from pyfork.record import entity, field, record
from pyfork.supervisor.backoff import Backoff
from pyfork.supervisor.events import Policy


class WorkerState(Enum):
    """Where a worker is in its life. Only the first two are on duty; nothing leads back."""

    BOOTING = "booting"
    SERVING = "serving"
    RETIRING = "retiring"  # told to drain
    DYING = "dying"  # failed or aborted: should be gone any moment
    KILLED = "killed"


# What leads from one state to another; there is no other way. docs/states.md shows it.
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
    """How a stop is made. It only grows, unless the arbiter that was to follow is gone."""

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
    deadline: float | None = None  # when its state ends or is looked at again
    spawned_at: float = 0.0
    ready_at: float | None = None
    heartbeat_deadline: float = 0.0  # the latest that was told; zero: none
    suspect: bool = False  # that promise was broken when it was looked at
    worn: bool = False

    @property
    def policy(self) -> Policy:
        """The policy that it was born under."""
        return self.generation.policy

    @property
    def is_active(self) -> bool:
        """Whether it serves or is about to."""
        return self.state in (WorkerState.BOOTING, WorkerState.SERVING)

    def uptime(self, now: float) -> float:
        """Seconds since it was ready; zero if it never was."""
        return now - self.ready_at if self.ready_at is not None else 0.0

    def next_check(self, now: float) -> float | None:
        """When it is looked at again while it serves: when its promise ends, if it gave one."""
        if self.heartbeat_deadline:
            return self.heartbeat_deadline
        return now + self.policy.timeout if self.policy.timeout else None

    def become(self, state: WorkerState, due: float | None) -> None:
        """Go on to the next state."""
        assert state in TRANSITIONS[self.state], f"{self.state} to {state}"
        self.state, self.deadline = state, due


@record(kw_only=True)
class SavedWorker:
    """A worker that lives through an exec of the arbiter. Times are monotonic seconds."""

    serial: int
    slot: int
    generation: int
    ready_at: float
    retire_by: float | None  # when it must have drained; None: it serves
    worn: bool = False  # it asked to be replaced

    # What only the arbiter uses.
    pid: int
    born: float
    channel: int  # fd of the arbiter's end
    row: int  # index on the scoreboard
    fd_queues: Mapping[str, Sequence[int]] = {}
    listens_to: Sequence[str] = ()  # keys of listeners that the arbiter assigns

    def fds(self) -> tuple[int, ...]:
        """Every fd that the record names."""
        return (self.channel, *(fd for ends in self.fd_queues.values() for fd in ends))

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
            worn=self.worn,
        )


@record
class BootFailure:
    """Why a generation cannot be."""

    reason: str
    detail: str = ""


@entity
class Generation:
    """One generation of code and configuration."""

    number: int
    policy: Policy
    size: int  # slots to fill: the policy's workers, as scaled since
    active: bool = False
    boot_failures: int = 0  # deaths before anyone was ready
    anyone_ready: bool = False
    failure: BootFailure | None = None
    backoffs: dict[int, Backoff] = field(default_factory=dict)  # by slot
    others_after: float = 0.0  # the end of a head start

    def backoff(self, slot: int) -> Backoff:
        """The memory of a slot."""
        return self.backoffs.setdefault(slot, Backoff())

    def retry_at(self, slot: int) -> float:
        """When a slot may be filled."""
        return max(self.backoff(slot).retry_at, self.others_after)
