"""How the server stops: what was asked for, and when that has its effect. Pure; no workers.

A graceful stop may have a drain delay before it begins. Haste only grows, unless the stop was for
the sake of another arbiter, which then did not come to serve.
"""

from pyfork.errors import ExitStatus
from pyfork.record import entity
from pyfork.supervisor.events import OperatorCommand
from pyfork.supervisor.state import StopMode


@entity
class Shutdown:
    """The one stop that there is, asked for or not."""

    mode: StopMode = StopMode.NONE
    at: float = 0.0  # when the present haste has its effect
    started: bool = False  # it has had
    for_handover: bool = False  # it is for the sake of another arbiter that serves
    status: ExitStatus = ExitStatus.OK  # of the process at its end
    reason: str = ""  # why it failed, if it did

    @property
    def requested(self) -> bool:
        """Whether there is to be one."""
        return self.mode is not StopMode.NONE

    def record(self, wish: OperatorCommand, now: float, *, delay: float) -> None:
        """``wish`` may be about it; ``delay``: seconds before a graceful one begins."""
        match wish:
            case OperatorCommand.HAND_OVER:
                yielding = not self.requested
                self._escalate(StopMode.GRACEFUL, now)
                self.for_handover = yielding
            case OperatorCommand.RESUME if self.for_handover:
                self.mode, self.started, self.for_handover = StopMode.NONE, False, False
            case OperatorCommand.STOP | OperatorCommand.STOP_FOR_GOOD if (
                self.for_handover
            ):  # it stops already: now it is for good
                self.for_handover = False
            case OperatorCommand.STOP if not self.requested:
                self._escalate(StopMode.GRACEFUL, now + delay)
            case OperatorCommand.STOP if (
                now < self.at
            ):  # impatient: it ends the delay, or else the grace
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
        """There is no server to be."""
        self.status, self.reason = ExitStatus.BOOT, reason
        self._escalate(StopMode.QUICK, now)

    def begin(self, now: float) -> bool:
        """Whether it has its effect, from now on or already."""
        if self.requested and not self.started and now >= self.at:
            self.started, self.at = True, now  # who looks late takes nobody's grace
        return self.started

    def _escalate(self, haste: StopMode, at: float) -> None:
        if haste > self.mode:
            self.mode, self.at, self.for_handover = haste, at, False
