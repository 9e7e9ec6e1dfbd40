"""What the service manager is told, by sd_notify(3).

Once a turn `SystemdNotifier` looks at where the server is, compares that with what it told last,
and tells the difference: so nothing is told twice, and what could not be told is told later.
`notifications`, which decides, is pure. Nothing here waits, and a service manager that does not
listen harms nobody.
"""

import logging
import os
import socket
from enum import Enum

from pyfork.arbiter.component import Component
from pyfork.arbiter.generations import Generations, ReloadResult
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.clock import earliest
from pyfork.log.formatter import printable
from pyfork.record import record
from pyfork.supervisor.state import WorkerState
from pyfork.supervisor.supervisor import Supervisor

log = logging.getLogger("pyfork.error")

RETRY = 0.1  # seconds until the next try to tell what there was no room for
MARGIN = 5.0  # seconds that a stop may take beyond what its settings say

# The news.


class ServicePhase(Enum):
    """What a service manager tells apart."""

    BOOTING = "booting"
    SERVING = "serving"
    RELOADING = "reloading"
    STOPPING = "stopping"
    YIELDING = "yielding"  # another arbiter speaks for the service


@record
class ServiceStatus:
    """Where the server is."""

    phase: ServicePhase
    status: str  # one line, for people: another would be another message
    main: int | None  # pid of the arbiter that speaks for the service, where it is known
    last_reload: ReloadResult | None = None
    stop_limit: float = 0.0  # seconds that a graceful stop may take


def notifications(before: ServiceStatus | None, after: ServiceStatus, now: float) -> list[str]:
    """The messages that lead from what was told to what is, in order.

    ``now`` is CLOCK_MONOTONIC in seconds, by which a manager tells the reload that it asked for
    from one before.
    """
    was = before.phase if before else ServicePhase.BOOTING
    entered: tuple[ServicePhase, ...] = (after.phase,)
    if after.phase is was:
        ended = was is ServicePhase.SERVING and before and before.last_reload != after.last_reload
        entered = (
            (ServicePhase.RELOADING, ServicePhase.SERVING) if ended else ()
        )  # it took less than a turn
    elif (
        was in (ServicePhase.BOOTING, ServicePhase.YIELDING)
        and after.phase is ServicePhase.RELOADING
    ):
        entered = (ServicePhase.SERVING, ServicePhase.RELOADING)
    if entered:
        return [text for phase in entered if (text := _announcement(phase, after, now))]
    changed = after.phase is not ServicePhase.YIELDING and (
        not before or before.status != after.status
    )
    return [f"STATUS={after.status}"] if changed else []


def _announcement(phase: ServicePhase, situation: ServiceStatus, now: float) -> str:
    """The message that says that ``phase`` has begun; empty if there is none."""
    status = f"STATUS={situation.status}"
    match phase:
        case ServicePhase.SERVING:
            return f"READY=1\nMAINPID={situation.main}\n{status}"
        case ServicePhase.RELOADING:
            return f"RELOADING=1\nMONOTONIC_USEC={_usec(now)}\n{status}"
        case ServicePhase.STOPPING:
            return f"STOPPING=1\nEXTEND_TIMEOUT_USEC={_usec(situation.stop_limit)}\n{status}"
        case ServicePhase.YIELDING if (
            situation.main
        ):  # only the old main process can say who is the new
            return f"MAINPID={situation.main}"
    return ""


def _usec(seconds: float) -> int:
    return int(seconds * 1e6)


def current_status(
    supervisor: Supervisor, generations: Generations, upgrade: Upgrade
) -> ServiceStatus:
    """Where the server is now."""
    policy = supervisor.serving.policy
    heir = upgrade.new_arbiter
    phase = _phase(supervisor) if heir is None else ServicePhase.YIELDING
    last = generations.last
    return ServiceStatus(
        phase,
        _status(supervisor, phase, last),
        os.getpid() if heir is None else heir.pid,
        last,
        policy.drain_delay + policy.graceful_timeout + MARGIN,
    )


def _phase(supervisor: Supervisor) -> ServicePhase:
    if supervisor.stop_requested:
        return ServicePhase.STOPPING
    if not supervisor.serving.active:
        return ServicePhase.BOOTING
    return ServicePhase.RELOADING if supervisor.candidate else ServicePhase.SERVING


def _status(supervisor: Supervisor, phase: ServicePhase, last: ReloadResult | None) -> str:
    """One line for `systemctl status`."""
    serving, candidate = supervisor.serving, supervisor.candidate
    if phase in (ServicePhase.STOPPING, ServicePhase.YIELDING):
        return f"stopping, {len(supervisor.workers)} workers left"
    text = f"generation {serving.number}: {_count(supervisor, serving.number, serving.size)}"
    if candidate:
        text += f"; generation {candidate.number} boots: "
        text += _count(supervisor, candidate.number, candidate.size)
    elif last and last.error:
        text += f"; the last reload failed: {printable(' '.join(last.error.split()))}"
    return text


def _count(supervisor: Supervisor, generation: int, size: int) -> str:
    ready = sum(
        each.state is WorkerState.SERVING and each.generation.number == generation
        for each in supervisor.workers
    )
    return f"{ready} of {size} workers are ready"


# Telling.


class SystemdNotifier(Component):
    """Speaks for the service, to whoever listens at ``place``.

    Args:
        place: address of the manager's socket; None: nobody listens.
        interval: within how many seconds a sign of life has to come; None: none has to.
        silent: another arbiter speaks until the first generation of this one serves.
    """

    def __init__(
        self,
        place: str | None,
        interval: float | None,
        *,
        supervisor: Supervisor,
        generations: Generations,
        upgrade: Upgrade,
        silent: bool,
    ) -> None:
        self._place = place
        self._half = interval / 2 if place and interval else None
        self._supervisor = supervisor
        self._generations = generations
        self._upgrade = upgrade
        self._silent = silent
        self._last_sent: ServiceStatus | None = None
        self._alive_at = 0.0  # when the next sign of life is due
        self._retry_at: float | None = None

    @property
    def deadline(self) -> float | None:
        """When to be called again at the latest."""
        beat = self._alive_at if self._half and not self._silent else None
        return earliest(beat, self._retry_at)

    def tick(self, now: float) -> None:
        """Once a turn: tell what is new."""
        self._silent = self._silent and not self._supervisor.serving.active
        if self._place is None or self._silent:
            return
        self._retry_at = None
        situation = current_status(self._supervisor, self._generations, self._upgrade)
        if situation != self._last_sent:
            if all(self._send(text) for text in notifications(self._last_sent, situation, now)):
                self._last_sent = situation
            else:
                self._retry_at = now + RETRY
        if self._half is not None and now >= self._alive_at:
            self._send("WATCHDOG=1")
            self._alive_at = now + self._half

    def _send(self, text: str) -> bool:
        """Whether there is no use in trying again."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.setblocking(False)
            try:
                end.sendto(text.encode(errors="replace"), self._place or "")
            except BlockingIOError:
                return False
            except OSError as error:
                log.debug("the service manager was not told %r: %s", text, error)
        return True
