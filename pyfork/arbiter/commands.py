"""What operators may ask for: by signal, over the control socket, or by saving a file.

What needs a decision becomes a fact for the supervisor; the rest is done at once.
"""

import contextlib
import logging
import time
from typing import Any

from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.reporting import log_lines
from pyfork.arbiter.reporting.reporter import Reporter
from pyfork.arbiter.reporting.status import describe, describe_sockets
from pyfork.arbiter.signals import Errand, SignalSpec, in_terminal
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.workers.messages import WorkerMessages
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.errors import PyforkError
from pyfork.ipc import messages
from pyfork.ipc.channel import Channel
from pyfork.log import setup
from pyfork.record import entity, field
from pyfork.supervisor import events
from pyfork.supervisor.supervisor import STOPPING, Supervisor

log = logging.getLogger("pyfork.error")

NOT_OURS = "another arbiter has taken over: ask that one"


@entity
class Commands:
    """Runs them."""

    supervisor: Supervisor
    generations: Generations
    listeners: ListenerTable
    pool: WorkerPool
    upgrades: Upgrade
    worker_messages: WorkerMessages
    reporter: Reporter
    started: float = field(default_factory=time.monotonic)

    def handle_signal(self, meaning: SignalSpec) -> None:
        """What a signal asks for. What is refused is in the log."""
        name = meaning.number.name
        match meaning.asks:
            case Errand.REAP:
                self.worker_messages.reap()
            case Errand.RELOAD:
                with contextlib.suppress(PyforkError):
                    self.reload()
            case Errand.UPGRADE:
                with contextlib.suppress(PyforkError):
                    self.upgrade()
            case Errand.REOPEN_LOGS:
                self.reopen_logs()
                log.info("%s: log files are open anew", name)
            case events.OperatorCommand.RETIRE_ALL if in_terminal():
                log.debug("%s: the window has changed", name)
            case events.OperatorCommand.RETIRE_ALL if self.upgrades.beside:
                log.info("%s: the workers leave when the new arbiter is ready", name)
            case events.OperatorCommand.STOP if self.upgrades.postpones_stop():
                log.info(
                    "%s: the upgrade finishes first, and this arbiter leaves then; "
                    "another %s, or pyfork stop, ends both at once",
                    name,
                    name.removeprefix("SIG"),
                )
            case events.OperatorCommand() as wish:
                log.info("%s: %s", name, meaning.help.partition(":")[0].partition(".")[0].lower())
                self.submit(wish)

    def files_changed(self, message: messages.FilesChanged) -> None:
        """Files have changed: as if the operator had asked for a reload."""
        if self.supervisor.stop_requested:
            return
        self.reporter.changed(message)
        with contextlib.suppress(PyforkError):
            self.reporter.remember_cause(self.reload(), message)

    def status(self) -> dict[str, Any]:
        """What this server is at."""
        now = time.monotonic()
        return describe(
            self.supervisor,
            self.generations,
            self.listeners,
            self.pool,
            self.upgrades,
            uptime=now - self.started,
            now=now,
        )

    def sockets(self) -> dict[str, Any]:
        """What this server and its workers listen on."""
        return describe_sockets(self.listeners, self.pool)

    def submit(self, wish: events.OperatorCommand | events.Scale) -> None:
        """Pass a wish on."""
        self.supervisor.feed(events.CommandReceived(wish), time.monotonic())

    def reopen_logs(self) -> None:
        """Log files were rotated: open them anew, in every process."""
        setup.reopen()
        self.worker_messages.broadcast(messages.ReopenLogs())

    def reload(self) -> int:
        """Ask for a new generation, and return its number. Raises PyforkError: there is none."""
        supervisor = self.supervisor
        if supervisor.stop_requested:
            raise PyforkError(STOPPING if not self.upgrades.in_charge else NOT_OURS)
        now = time.monotonic()
        try:
            reload = self.generations.prepare_reload(now)
        except PyforkError as error:
            text = f"reload refused, all stays as it was: {error}"
            log.error(log_lines.with_detail(text, error.detail))
            raise
        log.info("reload: generation %d boots", reload.generation)
        supervisor.feed(events.CommandReceived(reload), now)
        return reload.generation

    def upgrade(self) -> None:
        """Replace this program. Raises PyforkError: not now."""
        if refusal := self.upgrades.start(time.monotonic()):
            log.warning("upgrade refused: %s", refusal)
            raise PyforkError(refusal)

    def accept_takeover(self, successor: Channel) -> None:
        """Another arbiter asks to take over; it hears why not, if that is so."""
        if refusal := self.upgrades.start_takeover(successor, time.monotonic()):
            log.warning("takeover refused: %s", refusal)
