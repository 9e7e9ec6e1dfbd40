"""How and when the server stops. Pure; knows no workers.

A drain delay may precede a graceful stop. The mode only escalates, with one exception: a stop for a
handover is taken back if the new arbiter goes away.
"""

from pyfork.errors import ExitStatus
from pyfork.record import entity
from pyfork.supervisor.events import OperatorCommand
from pyfork.supervisor.state import StopMode


@entity
class Shutdown:
    """The stop of the server, requested or not."""

    mode: StopMode = StopMode.NONE
    at: float = 0.0  # when the mode takes effect, in monotonic seconds
    started: bool = False  # the mode has taken effect
    for_handover: bool = False  # another arbiter serves instead
    status: ExitStatus = ExitStatus.OK  # with which the process exits
    reason: str = ""  # of a failure

    @property
    def requested(self) -> bool:
        """Whether the server is to stop."""
        return self.mode is not StopMode.NONE

    def record(self, command: OperatorCommand, now: float, *, delay: float) -> None:
        """Record a command about the stop. ``delay``: seconds before a graceful one begins."""
        match command:
            case OperatorCommand.HAND_OVER:
                serving = not self.requested
                self._escalate(StopMode.GRACEFUL, now)
                self.for_handover = serving
            case OperatorCommand.RESUME if self.for_handover:
                self.mode, self.started, self.for_handover = StopMode.NONE, False, False
            case OperatorCommand.STOP | OperatorCommand.STOP_FOR_GOOD if self.for_handover:
                self.for_handover = False  # it stops already: now for good
            case OperatorCommand.STOP if not self.requested:
                self._escalate(StopMode.GRACEFUL, now + delay)
            case OperatorCommand.STOP if now < self.at:  # the second one ends the delay
                self.at = now
            case OperatorCommand.STOP:
                self._escalate(StopMode.QUICK, now)
            case OperatorCommand.QUICK_STOP:
                self._escalate(
                    StopMode.FORCED if self.mode >= StopMode.QUICK else StopMode.QUICK, now
                )
            case OperatorCommand.KILL_ALL:
                self._escalate(StopMode.FORCED, now)

    def fail(self, reason: str, now: float) -> None:
        """The first generation cannot boot: stop."""
        self.status, self.reason = ExitStatus.BOOT, reason
        self._escalate(StopMode.QUICK, now)

    def begin(self, now: float) -> bool:
        """Return whether the mode has taken effect, now or before."""
        if self.requested and not self.started and now >= self.at:
            self.started, self.at = True, now  # a late call must not shorten the grace
        return self.started

    def _escalate(self, mode: StopMode, at: float) -> None:
        if mode > self.mode:
            self.mode, self.at, self.for_handover = mode, at, False
