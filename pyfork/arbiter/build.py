"""Builds an arbiter: each component from those before it. Opens nothing that others can see."""

import os
from collections.abc import Callable, Mapping, Sequence

from pyfork.arbiter.arbiter import Arbiter
from pyfork.arbiter.children.log_process import LogProcess
from pyfork.arbiter.children.status_process import StatusProcess
from pyfork.arbiter.children.watcher import WatcherProcess, WatcherSpec
from pyfork.arbiter.commands.signals import SignalPipe
from pyfork.arbiter.commands.slots import SlotCommands
from pyfork.arbiter.commands.table import Commands
from pyfork.arbiter.component import Components
from pyfork.arbiter.control.requests import Requests
from pyfork.arbiter.control.server import ControlServer
from pyfork.arbiter.control.slots import SlotWaiters
from pyfork.arbiter.executor import ActionExecutor
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.dispatch import Dispatch
from pyfork.arbiter.listeners.handoff import HandoffBroker
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.preload.fork_servers import ForkServers
from pyfork.arbiter.reporting.history import History
from pyfork.arbiter.reporting.outcomes import Outcomes
from pyfork.arbiter.reporting.reporter import Reporter
from pyfork.arbiter.reporting.stacks import StackQueries
from pyfork.arbiter.reporting.systemd_notify import SystemdNotifier
from pyfork.arbiter.resources import Resources
from pyfork.arbiter.upgrade.exec_in_place import ExecInPlace
from pyfork.arbiter.upgrade.new_side import Takeover
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.upgrade.saved_state import (
    ExecState,
    OldArbiter,
    Previous,
    queue_for,
    scoreboard_for,
    supervisor_for,
)
from pyfork.arbiter.workers.hooks import OperatorHooks
from pyfork.arbiter.workers.messages import WorkerMessages
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.config.config import Config
from pyfork.config.directory import Start
from pyfork.ipc.poller import Poller
from pyfork.system import systemd_env


def build(
    config: Config,
    *,
    reread: Callable[[], Config],
    worker_main: str,
    previous: Previous = None,
    watched: WatcherSpec | None = None,
    start: Start | None = None,
    notes: Sequence[str] = (),
    origins: Callable[[], Mapping[str, str]] = dict,
) -> Arbiter:
    """An arbiter that has opened nothing yet.

    Args:
        config: of the first generation.
        reread: returns the configuration anew, at each reload; raises ConfigError.
        worker_main: dotted name of a `WorkerMain`, resolved in each worker.
        previous: the arbiter or the program that this one replaces.
        watched: the watcher that runs where --reload is asked for.
        start: where pyfork was started.
        origins: where the value of each setting comes from, for `pyfork describe`.
        notes: remarks on the configuration, one line each.
    """
    executed = previous if isinstance(previous, ExecState) else None
    old = previous if isinstance(previous, OldArbiter) else None
    start = start or Start.of_process(os.environ)

    poller, signals, listeners = Poller(), SignalPipe(), ListenerTable()
    components = Components(poller)
    supervisor = supervisor_for(config, previous)
    hooks = OperatorHooks(config, lambda: supervisor.serving.size, after_exec=executed is not None)
    generations = Generations(
        config,
        hooks.with_on_reload(reread),
        listeners,
        start=start,
        first=previous.generation if previous else 1,
        directory=executed.directory_of(start) if executed else None,
    )
    scoreboard = scoreboard_for(previous)
    queue = queue_for(previous)
    fork_servers = ForkServers(
        poller, components, supervisor, generations, listeners, scoreboard, queue, hooks
    )
    pool = WorkerPool(worker_main, components, listeners, scoreboard, queue, hooks, fork_servers)
    handoffs = HandoffBroker(poller.send)
    history = History(executed.history, executed.counts) if executed else History()

    log_process = LogProcess(poller, components)
    watcher = WatcherProcess(poller, components, watched)
    control = ControlServer(poller)
    dispatch = Dispatch(poller, supervisor, generations, listeners, pool)
    reporter = Reporter(generations, pool, listeners)
    status = StatusProcess(components, control, scoreboard)
    resources = Resources(supervisor, generations, listeners, watcher, control, status)
    takeover = Takeover(poller, supervisor, handoffs, pool, old)
    in_place = ExecInPlace(supervisor, generations, listeners, pool, handoffs, hooks, history)
    upgrade = Upgrade(
        poller, components, supervisor, generations, listeners, handoffs, hooks, signals,
        takeover, resources, dispatch, in_place,
    )  # fmt: skip
    stacks = StackQueries(poller, pool)
    worker_messages = WorkerMessages(
        poller, supervisor, generations, listeners, pool, handoffs, takeover, upgrade, dispatch,
        watcher, status, history, stacks,
    )  # fmt: skip
    executor = ActionExecutor(
        poller, supervisor, generations, listeners, pool, hooks, takeover, upgrade, dispatch,
        resources, watcher, status, worker_messages, reporter,
    )  # fmt: skip
    slots = SlotCommands(supervisor, pool, worker_messages)
    commands = Commands(
        supervisor, generations, listeners, pool, upgrade, worker_messages, reporter, history,
        slots, origins,
    )  # fmt: skip
    outcomes = Outcomes(history, generations, upgrade)
    waiters = SlotWaiters(supervisor, pool, history)
    requests = Requests(commands, supervisor, generations, upgrade, waiters, stacks)
    notifier = SystemdNotifier(
        systemd_env.notify_socket(os.environ),
        systemd_env.watchdog_interval(os.environ, os.getpid()),
        supervisor=supervisor,
        generations=generations,
        upgrade=upgrade,
        silent=old is not None,
    )
    components.set(
        executor, fork_servers, signals, hooks, pool, listeners, dispatch, upgrade, watcher, status,
        worker_messages, stacks, outcomes, requests, control, takeover, notifier, log_process,
    )  # fmt: skip
    return Arbiter(
        config, previous, notes, components, poller, signals, generations, pool, fork_servers,
        hooks, log_process, watcher, status, control, reporter, resources, takeover, upgrade,
        worker_messages, executor, commands, requests,
    )  # fmt: skip
