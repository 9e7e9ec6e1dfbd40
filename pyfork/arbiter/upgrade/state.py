"""The upgrade as a table: stage and event lead to a stage and to actions.

    NONE -> CHECKING -> DRY_RUN -> QUIESCING -> exec, in the new program: RELOADING -> NONE
                     \\-> STARTING -> DRAINING -> this process exits
    takeover --------/

The new program is checked in a child first. With ``--upgrade-mode exec`` another child does all
that comes before the loop (the dry run), and this process executes the program in a moment in
which all that it knows can be saved. Otherwise a new arbiter starts beside this one.

    never   does the old arbiter give anything up before the new one reports that all its workers
            are ready; nor does the new one accept before the old one grants the handover. So
            exactly one arbiter is active at any time.

Whatever fails before the handover leads back to NONE, with nothing changed. If either arbiter is
told to stop during the upgrade, the upgrade ends.

Rules: pure; `pyfork.arbiter.upgrade.old_side` executes the actions.
"""

from enum import Enum, auto

from pyfork.record import entity

QUIESCE_TIMEOUT = 30.0  # seconds to wait for a moment in which nothing is half done
DRY_RUN_TIMEOUT = 30.0  # seconds
START_MARGIN = 5.0  # seconds that the new arbiter gets beyond its workers' --boot-timeout
UNLIMITED_BOOT = 3600.0  # seconds, where --boot-timeout sets no limit


class UpgradeStage(Enum):
    """How far the upgrade is. The values are those of the status."""

    NONE = "none"
    CHECKING = "checking"
    DRY_RUN = "dry-run"
    QUIESCING = "quiescing"  # waiting for a moment to exec
    RELOADING = "reloading"  # after the exec: the workers of the new program boot
    STARTING = "starting"  # the new arbiter and its workers boot
    DRAINING = "draining"  # the new arbiter serves


class UpgradeEvent(Enum):
    """The events of an upgrade."""

    UPGRADE_REQUESTED = auto()
    TAKEOVER_REQUESTED = auto()  # by an arbiter that is no child of this one
    CHECK_PASSED_SPAWN = auto()
    CHECK_PASSED_EXEC = auto()
    DRY_RUN_PASSED = auto()
    QUIESCENT = auto()  # all that this arbiter knows can be saved now
    FAILED = auto()  # a child, an exec or the new arbiter
    TIMED_OUT = auto()
    STOP_REQUESTED = auto()  # from this arbiter, at once
    NEW_ARBITER_READY = auto()
    NEW_ARBITER_GONE = auto()
    NEW_ARBITER_STOPPING = auto()
    EXECUTED = auto()  # this is the new program
    RELOADED = auto()  # or the reload after the exec has failed: either ends the upgrade


class UpgradeAction(Enum):
    """The actions of the old arbiter."""

    START_CHECK = auto()
    START_DRY_RUN = auto()
    EXEC_PROGRAM = auto()
    SPAWN_ARBITER = auto()
    SEND_LISTENERS = auto()
    HAND_OVER = auto()
    RESUME = auto()  # serve again, unless this arbiter is to stop for good
    FAIL = auto()  # end what was begun, tell why, and keep serving
    STOP = auto()  # as the operator asked for while the upgrade was under way
    STOP_FOR_GOOD = auto()  # and do not resume if the new arbiter goes


_Stage, _Event, _Action = UpgradeStage, UpgradeEvent, UpgradeAction

_FAILURES = (_Event.FAILED, _Event.TIMED_OUT, _Event.STOP_REQUESTED)

TRANSITIONS: dict[
    tuple[UpgradeStage, UpgradeEvent], tuple[UpgradeStage, tuple[UpgradeAction, ...]]
] = {
    (_Stage.NONE, _Event.UPGRADE_REQUESTED): (_Stage.CHECKING, (_Action.START_CHECK,)),
    (_Stage.NONE, _Event.TAKEOVER_REQUESTED): (_Stage.STARTING, (_Action.SEND_LISTENERS,)),
    (_Stage.NONE, _Event.EXECUTED): (_Stage.RELOADING, ()),
    (_Stage.CHECKING, _Event.CHECK_PASSED_EXEC): (_Stage.DRY_RUN, (_Action.START_DRY_RUN,)),
    (_Stage.CHECKING, _Event.CHECK_PASSED_SPAWN): (
        _Stage.STARTING,
        (_Action.SPAWN_ARBITER, _Action.SEND_LISTENERS),
    ),
    (_Stage.DRY_RUN, _Event.DRY_RUN_PASSED): (_Stage.QUIESCING, ()),
    (_Stage.QUIESCING, _Event.QUIESCENT): (_Stage.QUIESCING, (_Action.EXEC_PROGRAM,)),
    (_Stage.STARTING, _Event.NEW_ARBITER_READY): (_Stage.DRAINING, (_Action.HAND_OVER,)),
    (_Stage.STARTING, _Event.NEW_ARBITER_GONE): (_Stage.NONE, (_Action.FAIL,)),
    (_Stage.DRAINING, _Event.NEW_ARBITER_GONE): (_Stage.NONE, (_Action.RESUME,)),
    (_Stage.DRAINING, _Event.NEW_ARBITER_STOPPING): (_Stage.DRAINING, (_Action.STOP_FOR_GOOD,)),
    (_Stage.RELOADING, _Event.RELOADED): (_Stage.NONE, ()),
    **{
        (stage, event): (_Stage.NONE, (_Action.FAIL,))
        for stage in (_Stage.CHECKING, _Stage.DRY_RUN, _Stage.QUIESCING, _Stage.STARTING)
        for event in _FAILURES
    },
}


@entity
class UpgradeState:
    """The one upgrade that there may be at a time."""

    stage: UpgradeStage = UpgradeStage.NONE
    deadline: float | None = None  # of the stage, in monotonic seconds
    stop_postponed: bool = False  # the operator asked for a stop, and the upgrade finishes first

    def on(
        self, event: UpgradeEvent, now: float, *, boot_timeout: float
    ) -> tuple[UpgradeAction, ...]:
        """Enter the next stage. Returns what to do: nothing, if the event means nothing here.

        Args:
            boot_timeout: in seconds; zero for no limit.
        """
        if (self.stage, event) not in TRANSITIONS:
            return ()
        before, (self.stage, actions) = self.stage, TRANSITIONS[self.stage, event]
        if self.stage is not before:
            timeout = _timeout(self.stage, boot_timeout)
            self.deadline = None if timeout is None else now + timeout
        if self.stop_postponed and self.stage in (UpgradeStage.NONE, UpgradeStage.DRAINING):
            self.stop_postponed = False
            if self.stage is UpgradeStage.DRAINING:
                return (*actions, UpgradeAction.STOP_FOR_GOOD)
            return (UpgradeAction.STOP, *actions)
        return actions

    def postpone_stop(self) -> bool:
        """Whether a graceful stop waits for the end of the upgrade. Asked again: no."""
        if self.stop_postponed or self.stage not in (UpgradeStage.CHECKING, UpgradeStage.STARTING):
            return False
        self.stop_postponed = True
        return True


def _timeout(stage: UpgradeStage, boot_timeout: float) -> float | None:
    match stage:
        case UpgradeStage.CHECKING | UpgradeStage.STARTING:
            return (boot_timeout or UNLIMITED_BOOT) + START_MARGIN
        case UpgradeStage.DRY_RUN:
            return DRY_RUN_TIMEOUT
        case UpgradeStage.QUIESCING:
            return QUIESCE_TIMEOUT
    return None
