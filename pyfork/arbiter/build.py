"""The arbiter's parts, built: each from those before it.

What a part tells to one that comes after it, it is given a function for. Nothing happens here that
anybody outside could see: the first who opens anything is the loop.
"""

import os
from collections.abc import Callable

from pyfork.arbiter.children.log_process import LogProcess
from pyfork.arbiter.children.watcher import WatcherProcess, WatcherSpec
from pyfork.arbiter.commands import Commands
from pyfork.arbiter.context import ArbiterContext
from pyfork.arbiter.control.requests import Requests
from pyfork.arbiter.control.server import ControlServer
from pyfork.arbiter.executor import ActionExecutor
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.dispatch import Dispatch
from pyfork.arbiter.listeners.handoff import HandoffBroker
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.reporting.reporter import Reporter
from pyfork.arbiter.reporting.systemd_notify import SystemdNotifier
from pyfork.arbiter.resources import Resources
from pyfork.arbiter.signals import SignalPipe
from pyfork.arbiter.upgrade.new_side import Takeover
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.upgrade.saved_state import (
    ExecState,
    OldArbiter,
    Previous,
    scoreboard_for,
    supervisor_for,
)
from pyfork.arbiter.workers.hooks import OperatorHooks
from pyfork.arbiter.workers.messages import WorkerMessages
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.config.config import Config
from pyfork.config.directory import Start
from pyfork.ipc.poller import Poller
from pyfork.record import record
from pyfork.system import systemd_env


@record(kw_only=True)
class Components:
    """What the loop calls."""

    house: ArbiterContext
    log_process: LogProcess
    premises: Resources
    accession: Takeover
    dispatch: Dispatch
    watch: WatcherProcess
    control: ControlServer
    upgrade: Upgrade
    console: Reporter
    liaison: WorkerMessages  # what happens, told to the supervisor
    orders: ActionExecutor  # what the supervisor orders, done
    errands: Commands
    requests: Requests
    herald: SystemdNotifier


def build_parts(
    config: Config,
    heritage: Previous,
    *,
    reread: Callable[[], Config],
    worker_main: str,
    start: Start,
) -> ArbiterContext:
    """What everybody works with."""
    supervisor, ports, wires = supervisor_for(config, heritage), ListenerTable(), Poller()
    private: list[Callable[[], object]] = []
    hooks = OperatorHooks(
        config, lambda: supervisor.serving.size, renewed=isinstance(heritage, ExecState)
    )
    first = heritage.generation if heritage else 1
    directory = heritage.directory_of(start) if isinstance(heritage, ExecState) else None
    return ArbiterContext(
        inbox=SignalPipe(),
        wires=wires,
        supervisor=supervisor,
        generations=Generations(
            config,
            hooks.with_on_reload(reread),
            ports,
            start=start,
            first=first,
            directory=directory,
        ),
        ports=ports,
        crew=WorkerPool(worker_main, private, scoreboard_for(heritage), hooks),
        handoffs=HandoffBroker(wires.send),
        hooks=hooks,
        private=private,
    )


def build(house: ArbiterContext, heritage: Previous, watched: WatcherSpec | None) -> Components:
    """Everybody who works there."""
    predecessor = heritage if isinstance(heritage, OldArbiter) else None
    log_process = LogProcess(house)
    dispatch = Dispatch(house)
    console = Reporter(house)
    watch = WatcherProcess(
        house=house, watched=watched, changed=lambda cause: errands.files_changed(cause)
    )
    control = ControlServer(house.wires, lambda client, line: requests.on_request(client, line))
    premises = Resources(house, watch, control)
    accession = Takeover(house, predecessor, take_charge=lambda: orders.activate())
    upgrade = Upgrade(
        house=house,
        accession=accession,
        premises=premises,
        dispatch=dispatch,
        clients=lambda: requests.upgrading,
    )
    liaison = WorkerMessages(
        house=house, accession=accession, upgrade=upgrade, dispatch=dispatch, watch=watch
    )
    orders = ActionExecutor(
        house=house,
        accession=accession,
        upgrade=upgrade,
        dispatch=dispatch,
        premises=premises,
        watch=watch,
        liaison=liaison,
        console=console,
    )
    errands = Commands(house=house, upgrades=upgrade, liaison=liaison, console=console)
    requests = Requests(errands, house, upgrade)
    house.private.append(house.wires.close)
    for part in (house.inbox, log_process, control, dispatch, watch, accession, upgrade):
        house.private.append(part.close_in_child)
    return Components(
        house=house,
        log_process=log_process,
        premises=premises,
        accession=accession,
        dispatch=dispatch,
        watch=watch,
        control=control,
        upgrade=upgrade,
        console=console,
        liaison=liaison,
        orders=orders,
        errands=errands,
        requests=requests,
        herald=systemd_notifier(house, upgrade, predecessor),
    )


def systemd_notifier(
    house: ArbiterContext, upgrade: Upgrade, predecessor: OldArbiter | None
) -> SystemdNotifier:
    """Who speaks to the service manager that the environment names."""
    return SystemdNotifier(
        systemd_env.notify_socket(os.environ),
        systemd_env.watchdog_interval(os.environ, os.getpid()),
        house=house,
        upgrade=upgrade,
        silent=predecessor is not None,
    )
