"""Everything that an operator may ask for: one table.

A signal, a request over the control socket and a saved file run the same row. A command that needs
a decision is fed to the supervisor; any other is done at once.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pyfork.arbiter.commands.signals import SignalSpec, in_terminal
from pyfork.arbiter.commands.slots import SlotCommands
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.reporting.description import describe_start
from pyfork.arbiter.reporting.history import History
from pyfork.arbiter.reporting.reporter import Reporter
from pyfork.arbiter.reporting.status import describe, describe_sockets
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.workers.messages import WorkerMessages
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.errors import PyforkError
from pyfork.ipc.messages import FilesChanged, ReopenLogs
from pyfork.log import setup
from pyfork.log.formatter import with_detail
from pyfork.record import entity, field, record
from pyfork.supervisor.events import CommandReceived, OperatorCommand, Reload, Scale
from pyfork.supervisor.state import StopMode
from pyfork.supervisor.supervisor import STOPPING, Supervisor

log = logging.getLogger("pyfork.error")

MAX_WORKERS = 1024  # that may be asked for: a typing error must not become a fork bomb
HANDED_OVER = "another arbiter has taken over: ask that one"

Answer = Mapping[str, Any]


@record
class ArbiterCommand:
    """One row of the table.

    ``run`` gets the caller (the name of a signal, or "control") and the options as keywords. It
    returns what the answer of the control socket says, and raises PyforkError to refuse.
    """

    name: str
    run: Callable[..., Answer]
    options: Mapping[str, type] = {}
    can_wait: bool = False  # a control request may wait for the end of what this begins
    is_public: bool = True  # a control request may run it


@entity
class Commands:
    """Runs commands."""

    supervisor: Supervisor
    generations: Generations
    listeners: ListenerTable
    pool: WorkerPool
    upgrade: Upgrade
    worker_messages: WorkerMessages
    reporter: Reporter
    history: History
    slots: SlotCommands
    origins: Callable[[], Mapping[str, str]]  # where each setting's value comes from
    table: dict[str, ArbiterCommand] = field(init=False)
    _started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.table = {command.name: command for command in self._commands()}

    def _commands(self) -> Iterator[ArbiterCommand]:
        yield ArbiterCommand("status", self._status)
        yield ArbiterCommand("sockets", self._sockets)
        yield ArbiterCommand("reload", self._reload, can_wait=True)
        yield ArbiterCommand("rollback", self._rollback, can_wait=True)
        yield ArbiterCommand("stop", self._stop, {"quick": bool})
        yield ArbiterCommand("scale", self._scale, {"to": int, "by": int})
        yield ArbiterCommand("restart", self.slots.restart, {"worker": int}, can_wait=True)
        yield ArbiterCommand("drain", self.slots.drain, {"worker": int}, can_wait=True)
        yield ArbiterCommand("resume", self.slots.resume, {"worker": int})
        yield ArbiterCommand("stack", self._stack, {"worker": int}, can_wait=True)
        yield ArbiterCommand("describe", self._describe)
        yield ArbiterCommand("history", self._history)
        yield ArbiterCommand("reopen-logs", self._reopen_logs)
        yield ArbiterCommand("upgrade", self._upgrade, can_wait=True)
        yield ArbiterCommand("retire", self._retire, is_public=False)
        yield ArbiterCommand("reap", self._reap, is_public=False)

    def run(self, name: str, caller: str, **options: Any) -> Answer:
        """Run one command. Raises PyforkError if it is refused, which the log has then."""
        try:
            return self.table[name].run(caller, **options)
        except PyforkError as error:
            text = f"{caller}: {name} refused: {error}"
            log.error(with_detail(text, error.detail))
            raise

    def handle_signal(self, spec: SignalSpec) -> None:
        """Run the command of a signal."""
        with contextlib.suppress(PyforkError):
            self.run(spec.command, spec.number.name, **spec.options)

    def files_changed(self, change: FilesChanged) -> None:
        """Reload, as if the operator had asked for it."""
        if not self.supervisor.stop_requested:
            self.reporter.changed(change)
            with contextlib.suppress(PyforkError):
                answer = self.run("reload", "watcher")
                self.reporter.remember_cause(answer["generation"], change)

    # The commands.

    def _status(self, caller: str) -> Answer:
        now = time.monotonic()
        status = describe(
            self.supervisor,
            self.generations,
            self.listeners,
            self.pool,
            self.upgrade,
            self.history,
            uptime=now - self._started,
            now=now,
        )
        return {"status": status}

    def _sockets(self, caller: str) -> Answer:
        return describe_sockets(self.listeners, self.pool)

    def _describe(self, caller: str) -> Answer:
        serving = self.supervisor.serving.number
        config, directory = self.generations.config(serving), self.generations.directory(serving)
        return {
            **self._status(caller),
            **describe_sockets(self.listeners, self.pool),
            "start": describe_start(config, self.origins(), directory),
        }

    def _stack(self, caller: str, *, worker: int | None = None) -> Answer:
        """The workers whose stacks `StackQueries` will ask for."""
        found = [each for each in self.pool if each.pid and worker in (None, each.slot)]
        if not found:
            raise PyforkError("there is no worker" if worker is None else f"slot {worker} has none")
        found.sort(key=lambda each: (each.slot, each.generation))
        return {"pids": [each.pid for each in found]}

    def _history(self, caller: str) -> Answer:
        return {"history": list(self.history)}

    def _reload(self, caller: str) -> Answer:
        return self._new_generation("reload", self.generations.prepare_reload, caller)

    def _rollback(self, caller: str) -> Answer:
        return self._new_generation("rollback", self.generations.prepare_rollback, caller)

    def _new_generation(self, name: str, prepare: Callable[[float], Reload], caller: str) -> Answer:
        """Begin a reload to what ``prepare`` makes. Raises PyforkError: nothing has changed."""
        if self.supervisor.stop_requested:
            raise PyforkError(HANDED_OVER if self.upgrade.new_arbiter else STOPPING)
        reload = prepare(time.monotonic())
        log.info("%s: generation %d boots, asked for by %s", name, reload.generation, caller)
        self._feed(reload)
        return {"generation": reload.generation}

    def _stop(self, caller: str, *, quick: bool = False, escalate: bool = False) -> Answer:
        """``escalate``: a second one stops faster. Asked for over the socket, none does."""
        if not quick and escalate and self.upgrade.postpones_stop():
            log.info(
                "%s: the upgrade finishes first, and this arbiter leaves then; "
                "another %s, or pyfork stop, ends both at once",
                caller,
                caller.removeprefix("SIG"),
            )
        elif escalate or self.supervisor.stop_mode < (
            StopMode.QUICK if quick else StopMode.GRACEFUL
        ):
            log.info("%s: %s stop", caller, "quick" if quick else "graceful")
            self._feed(OperatorCommand.QUICK_STOP if quick else OperatorCommand.STOP)
        return {}

    def _scale(self, caller: str, *, to: int | None = None, by: int | None = None) -> Answer:
        size = self.supervisor.serving.size
        if (to is None) == (by is None):
            raise PyforkError("scale needs one of to and by")
        wanted = to if to is not None else size + (by or 0)
        if self.supervisor.stop_requested:
            raise PyforkError(STOPPING)
        if not size:
            raise PyforkError("all workers were retired: a reload brings them back")
        if not 1 <= wanted <= MAX_WORKERS:
            raise PyforkError(f"from 1 to {MAX_WORKERS} workers may be asked for, not {wanted}")
        log.info("%s: scale from %d to %d", caller, size, wanted)
        self._feed(Scale(to, by or 0))
        return {"workers": wanted}

    def _reopen_logs(self, caller: str) -> Answer:
        """Reopen the log files, which were rotated, in every process."""
        setup.reopen()
        self.worker_messages.broadcast(ReopenLogs())
        self.pool.fork_servers.send(ReopenLogs())
        log.info("%s: log files were reopened", caller)
        return {}

    def _upgrade(self, caller: str) -> Answer:
        log.info("%s: upgrade", caller)
        self.upgrade.start(time.monotonic())
        return {}

    def _retire(self, caller: str) -> Answer:
        if in_terminal():
            log.debug("%s: the window has changed", caller)
        elif self.upgrade.is_spawning:
            log.info("%s: the workers leave when the new arbiter is ready", caller)
        else:
            log.info("%s: retire all workers and keep the port", caller)
            self._feed(OperatorCommand.RETIRE_ALL)
        return {}

    def _reap(self, caller: str) -> Answer:
        self.worker_messages.reap()
        return {}

    def _feed(self, command: Any) -> None:
        self.supervisor.feed(CommandReceived(command), time.monotonic())
