"""How the server stops: what was asked for, and when that has its effect. Pure; no workers.

A graceful stop may have a drain delay before it begins. Haste only grows, unless the stop was for
the sake of another arbiter, which then did not come to serve.
"""

from pyfork.errors import ExitStatus
from pyfork.record import entity
from pyfork.supervisor.events import Wish
from pyfork.supervisor.state import Haste


@entity
class Stop:
    """The one stop that there is, asked for or not."""

    haste: Haste = Haste.NONE
    at: float = 0.0  # when the present haste has its effect
    begun: bool = False  # it has had
    yielding: bool = False  # it is for the sake of another arbiter that serves
    status: ExitStatus = ExitStatus.OK  # of the process at its end
    reason: str = ""  # why it failed, if it did

    @property
    def asked(self) -> bool:
        """Whether there is to be one."""
        return self.haste is not Haste.NONE

    def record(self, wish: Wish, now: float, *, delay: float) -> None:
        """``wish`` may be about it; ``delay``: seconds before a graceful one begins."""
        match wish:
            case Wish.YIELD:
                yielding = not self.asked
                self._hurry(Haste.GRACEFUL, now)
                self.yielding = yielding
            case Wish.CARRY_ON if self.yielding:
                self.haste, self.begun, self.yielding = Haste.NONE, False, False
            case Wish.STOP | Wish.LEAVE if self.yielding:  # it stops already: now it is for good
                self.yielding = False
            case Wish.STOP if not self.asked:
                self._hurry(Haste.GRACEFUL, now + delay)
            case Wish.STOP if now < self.at:  # impatient: it ends the delay, or else the grace
                self.at = now
            case Wish.STOP:
                self._hurry(Haste.QUICK, now)
            case Wish.QUIT:
                self._hurry(Haste.FORCED if self.haste >= Haste.QUICK else Haste.QUICK, now)
            case Wish.FORCE:
                self._hurry(Haste.FORCED, now)

    def fail(self, reason: str, now: float) -> None:
        """There is no server to be."""
        self.status, self.reason = ExitStatus.BOOT, reason
        self._hurry(Haste.QUICK, now)

    def begin(self, now: float) -> bool:
        """Whether it has its effect, from now on or already."""
        if self.asked and not self.begun and now >= self.at:
            self.begun, self.at = True, now  # who looks late takes nobody's grace
        return self.begun

    def _hurry(self, haste: Haste, at: float) -> None:
        if haste > self.haste:
            self.haste, self.at, self.yielding = haste, at, False
