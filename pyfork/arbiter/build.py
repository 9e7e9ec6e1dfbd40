"""The arbiter's parts, built: each from those before it.

What a part tells to one that comes after it, it is given a function for. Nothing happens here that
anybody outside could see: the first who opens anything is the loop.
"""

import os
from collections.abc import Callable

from pyfork.arbiter.children.log_process import LogProcess
from pyfork.arbiter.children.watcher import Watch, Watched
from pyfork.arbiter.commands import Errands
from pyfork.arbiter.context import House
from pyfork.arbiter.control.requests import Requests
from pyfork.arbiter.control.server import Server
from pyfork.arbiter.executor import Orders
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.dispatch import Dispatch
from pyfork.arbiter.listeners.handoff import Handoffs
from pyfork.arbiter.listeners.table import Ports
from pyfork.arbiter.reporting.reporter import Console
from pyfork.arbiter.reporting.systemd_notify import Herald
from pyfork.arbiter.resources import Premises
from pyfork.arbiter.signals import Inbox
from pyfork.arbiter.upgrade.new_side import Accession
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.upgrade.saved_state import (
    Estate,
    Heritage,
    Predecessor,
    scoreboard_for,
    supervisor_for,
)
from pyfork.arbiter.workers.hooks import Hooks
from pyfork.arbiter.workers.messages import Liaison
from pyfork.arbiter.workers.pool import Crew
from pyfork.config.config import Config
from pyfork.config.directory import Start
from pyfork.ipc.poller import Wires
from pyfork.record import record
from pyfork.system import systemd_env


@record(kw_only=True)
class Parts:
    """What the loop calls."""

    house: House
    log_process: LogProcess
    premises: Premises
    accession: Accession
    dispatch: Dispatch
    watch: Watch
    control: Server
    upgrade: Upgrade
    console: Console
    liaison: Liaison  # what happens, told to the supervisor
    orders: Orders  # what the supervisor orders, done
    errands: Errands
    requests: Requests
    herald: Herald


def furnish(
    config: Config,
    heritage: Heritage,
    *,
    reread: Callable[[], Config],
    worker_main: str,
    start: Start,
) -> House:
    """What everybody works with."""
    supervisor, ports, wires = supervisor_for(config, heritage), Ports(), Wires()
    private: list[Callable[[], object]] = []
    hooks = Hooks(config, lambda: supervisor.serving.size, renewed=isinstance(heritage, Estate))
    first = heritage.generation if heritage else 1
    directory = heritage.directory_of(start) if isinstance(heritage, Estate) else None
    return House(
        inbox=Inbox(),
        wires=wires,
        supervisor=supervisor,
        generations=Generations(
            config,
            hooks.rereading(reread),
            ports,
            start=start,
            first=first,
            directory=directory,
        ),
        ports=ports,
        crew=Crew(worker_main, private, scoreboard_for(heritage), hooks),
        handoffs=Handoffs(wires.send),
        hooks=hooks,
        private=private,
    )


def assemble(house: House, heritage: Heritage, watched: Watched | None) -> Parts:
    """Everybody who works there."""
    predecessor = heritage if isinstance(heritage, Predecessor) else None
    log_process = LogProcess(house)
    dispatch = Dispatch(house)
    console = Console(house)
    watch = Watch(house=house, watched=watched, changed=lambda cause: errands.changed(cause))
    control = Server(house.wires, lambda client, line: requests.hear(client, line))
    premises = Premises(house, watch, control)
    accession = Accession(house, predecessor, take_charge=lambda: orders.take_charge())
    upgrade = Upgrade(
        house=house,
        accession=accession,
        premises=premises,
        dispatch=dispatch,
        clients=lambda: requests.upgrading,
    )
    liaison = Liaison(
        house=house, accession=accession, upgrade=upgrade, dispatch=dispatch, watch=watch
    )
    orders = Orders(
        house=house,
        accession=accession,
        upgrade=upgrade,
        dispatch=dispatch,
        premises=premises,
        watch=watch,
        liaison=liaison,
        console=console,
    )
    errands = Errands(house=house, upgrades=upgrade, liaison=liaison, console=console)
    requests = Requests(errands, house, upgrade)
    house.private.append(house.wires.close)
    for part in (house.inbox, log_process, control, dispatch, watch, accession, upgrade):
        house.private.append(part.disown)
    return Parts(
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
        herald=herald_for(house, upgrade, predecessor),
    )


def herald_for(house: House, upgrade: Upgrade, predecessor: Predecessor | None) -> Herald:
    """Who speaks to the service manager that the environment names."""
    return Herald(
        systemd_env.notify_socket(os.environ),
        systemd_env.watchdog_interval(os.environ, os.getpid()),
        house=house,
        upgrade=upgrade,
        silent=predecessor is not None,
    )
