"""Notifies the service manager, by sd_notify(3).

Each tick compares the status of the server with the last one that was sent, and sends the
difference. So nothing is sent twice, and a message that could not be sent is sent later. The pure
function `notifications` decides. Nothing here blocks, and errors are only logged.
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

RETRY = 0.1  # seconds until a message is sent again that found a full queue
MARGIN = 5.0  # seconds that a stop may take beyond its settings

# Messages.


class ServicePhase(Enum):
    """The phases that a service manager distinguishes."""

    BOOTING = "booting"
    SERVING = "serving"
    RELOADING = "reloading"
    STOPPING = "stopping"
    HANDED_OVER = "handed over"  # the new arbiter notifies


@record
class ServiceStatus:
    """The status of the server, as the service manager sees it."""

    phase: ServicePhase
    status: str  # one line for people
    main: int | None  # pid of the arbiter that notifies; None: unknown
    last_reload: ReloadResult | None = None
    stop_limit: float = 0.0  # seconds that a graceful stop may take


def notifications(before: ServiceStatus | None, after: ServiceStatus, now: float) -> list[str]:
    """The messages that report the change from ``before`` to ``after``, in order.

    ``now`` is CLOCK_MONOTONIC in seconds: a manager compares it with the time of its own request.
    """
    was = before.phase if before else ServicePhase.BOOTING
    entered: tuple[ServicePhase, ...] = (after.phase,)
    if after.phase is was:
        ended = was is ServicePhase.SERVING and before and before.last_reload != after.last_reload
        entered = (
            (ServicePhase.RELOADING, ServicePhase.SERVING) if ended else ()
        )  # it took less than a turn
    elif (
        was in (ServicePhase.BOOTING, ServicePhase.HANDED_OVER)
        and after.phase is ServicePhase.RELOADING
    ):
        entered = (ServicePhase.SERVING, ServicePhase.RELOADING)
    if entered:
        return [text for phase in entered if (text := _announcement(phase, after, now))]
    changed = after.phase is not ServicePhase.HANDED_OVER and (
        not before or before.status != after.status
    )
    return [f"STATUS={after.status}"] if changed else []


def _announcement(phase: ServicePhase, service: ServiceStatus, now: float) -> str:
    """The message at the begin of ``phase``; empty if there is none."""
    status = f"STATUS={service.status}"
    match phase:
        case ServicePhase.SERVING:
            return f"READY=1\nMAINPID={service.main}\n{status}"
        case ServicePhase.RELOADING:
            return f"RELOADING=1\nMONOTONIC_USEC={_usec(now)}\n{status}"
        case ServicePhase.STOPPING:
            return f"STOPPING=1\nEXTEND_TIMEOUT_USEC={_usec(service.stop_limit)}\n{status}"
        case ServicePhase.HANDED_OVER if (
            service.main
        ):  # only the old main process may name the new one
            return f"MAINPID={service.main}"
    return ""


def _usec(seconds: float) -> int:
    return int(seconds * 1e6)


def current_status(
    supervisor: Supervisor, generations: Generations, upgrade: Upgrade
) -> ServiceStatus:
    """The present status of the server."""
    policy = supervisor.serving.policy
    new_arbiter = upgrade.new_arbiter
    phase = _phase(supervisor) if new_arbiter is None else ServicePhase.HANDED_OVER
    last = generations.last
    return ServiceStatus(
        phase,
        _status(supervisor, phase, last),
        os.getpid() if new_arbiter is None else new_arbiter.pid,
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
    if phase in (ServicePhase.STOPPING, ServicePhase.HANDED_OVER):
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


# Sending.


class SystemdNotifier(Component):
    """Sends notifications to the service manager.

    Args:
        place: address of the manager's socket; None: there is no manager.
        interval: watchdog interval in seconds; None: there is no watchdog.
        silent: the old arbiter notifies until the first generation of this one serves.
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
        """When the next watchdog message, or a repeated one, is due."""
        beat = self._alive_at if self._half and not self._silent else None
        return earliest(beat, self._retry_at)

    def tick(self, now: float) -> None:
        """Send what has changed."""
        self._silent = self._silent and not self._supervisor.serving.active
        if self._place is None or self._silent:
            return
        self._retry_at = None
        status = current_status(self._supervisor, self._generations, self._upgrade)
        if status != self._last_sent:
            if all(self._send(text) for text in notifications(self._last_sent, status, now)):
                self._last_sent = status
            else:
                self._retry_at = now + RETRY
        if self._half is not None and now >= self._alive_at:
            self._send("WATCHDOG=1")
            self._alive_at = now + self._half

    def _send(self, text: str) -> bool:
        """Send a message. Returns False if it should be sent again later."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.setblocking(False)
            try:
                end.sendto(text.encode(errors="replace"), self._place or "")
            except BlockingIOError:
                return False
            except OSError as error:
                log.debug("cannot notify the service manager of %r: %s", text, error)
        return True
