"""The answers to ``status`` and ``sockets``, as plain data.

Times are durations in seconds, so that no clock has to agree with another.
"""

import os
from typing import Any

from pyfork import __version__
from pyfork.arbiter.generations import Generations, ReloadResult
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.preload.fork_servers import ForkServer
from pyfork.arbiter.reporting.history import History
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.upgrade.state import UpgradeStage
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.arbiter.workers.process import WorkerProcess
from pyfork.config.config import Config
from pyfork.config.script import sees_connections
from pyfork.log import setup
from pyfork.supervisor.state import StopMode, WorkerRecord, WorkerState
from pyfork.supervisor.supervisor import Supervisor
from pyfork.system.proc_sockets import listening_sockets, queue, queues
from pyfork.system.process import resident


def describe(
    supervisor: Supervisor,
    generations: Generations,
    listeners: ListenerTable,
    pool: WorkerPool,
    upgrade: Upgrade,
    history: History,
    *,
    uptime: float,
    now: float,
) -> dict[str, Any]:
    """The answer to ``status``. Reads /proc, so it is called only for a request."""
    serving = supervisor.serving
    config = generations.serving_config
    known = {worker.serial: worker for worker in supervisor.workers}
    return {
        "version": __version__,
        "pid": os.getpid(),
        "name": config.name,
        "app": config.app,
        "directory": generations.start.logical,
        "addresses": listeners.addresses(serving.number),
        "http": config.http,
        **_serving(supervisor, generations),
        "uptime": uptime,
        "last_reload": _outcome(generations.last, now),
        "upgrade": upgrade.stage.value if upgrade.stage is not UpgradeStage.NONE else None,
        "last_upgrade": _outcome(upgrade.last, now),
        "log_lines_lost": setup.lost() + pool.lost + sum(worker.row.lost for worker in pool),
        "requests": requests(config, pool),
        "restarts": pool.deaths,
        "previous": generations.previous.fork_server if generations.previous else None,
        "fork_servers": [_fork_server(server) for server in pool.fork_servers],
        "workers_wanted": len(supervisor.wanted_slots),
        "drained": sorted(supervisor.drained),
        "events": history.counts,
        "durations": history.durations,
        "queues": _queues(listeners, serving.number),
        "workers": [
            _worker(worker, known.get(worker.serial), config, now)
            for worker in sorted(pool, key=lambda each: (each.slot, each.generation))
        ],
    }


def _serving(supervisor: Supervisor, generations: Generations) -> dict[str, Any]:
    """Whether and what the server serves.

    An error page is no application: a probe by HTTP, which it answers with 500, says so too.
    """
    state, error_page = state_of(supervisor), generations.error_page
    number = supervisor.serving.number
    works = state in ("serving", "reloading") and supervisor.at_full_strength
    return {
        "state": state,
        "ready": works and not error_page,
        "broken": error_page.reason if error_page else None,
        "generation": number,
        "mixed_code": number in generations.mixed,
    }


def _fork_server(server: ForkServer) -> dict[str, Any]:
    """The status of one fork server; ``memory`` is in bytes."""
    return {
        "generation": server.generation,
        "pid": server.pid,
        "ready": server.is_ready,
        "memory": resident(server.pid),
    }


def requests(config: Config, pool: WorkerPool) -> int | None:
    """Requests answered by all workers, including exited ones; None: unknown, for a script."""
    if not config.bind:
        return None
    living: list[int] = [worker.row.requests for worker in pool]
    return pool.served + sum(living)


def _queues(listeners: ListenerTable, generation: int) -> list[dict[str, Any]]:
    """The number of connections that wait in each listener, where the system tells."""
    found = []
    for name, listener in listeners.sockets(generation).items():
        if (waiting := queue(listener)) is not None:
            length, limit = waiting
            found.append(
                {"address": name.address, "number": name.number}
                | {"length": length, "limit": limit}
            )
    return found


def describe_sockets(listeners: ListenerTable, pool: WorkerPool) -> dict[str, Any]:
    """The answer to ``sockets``. Reads /proc, as `describe` does."""
    names = {worker.pid: f"worker {worker.slot}" for worker in pool} | {os.getpid(): "arbiter"}
    own = queues(listeners.all_sockets().values())
    return {
        "sockets": [
            {
                "kind": each.kind,
                "address": each.address,
                "inode": each.inode,
                "owner": names[each.pids[0]],
                "shared_by": [{"pid": pid, "name": names[pid]} for pid in each.pids],
                "queue": own.get(each.inode, (each.queue,))[0],
                "limit": own[each.inode][1] if each.inode in own else None,
            }
            for each in listening_sockets([os.getpid(), *(worker.pid for worker in pool)])
        ]
    }


def state_of(supervisor: Supervisor) -> str:
    """booting, serving, reloading, draining (a graceful stop) or stopping (a quick one)."""
    if supervisor.stop_requested:
        return "draining" if supervisor.stop_mode is StopMode.GRACEFUL else "stopping"
    if not supervisor.serving.active:
        return "booting"
    return "reloading" if supervisor.candidate else "serving"


def _outcome(outcome: ReloadResult | None, now: float) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {
        "ok": not outcome.error,
        "generation": outcome.generation,
        "ago": now - outcome.at,
        "error": outcome.error,
        "detail": outcome.detail,
    }


def _worker(
    worker: WorkerProcess, known: WorkerRecord | None, config: Config, now: float
) -> dict[str, Any]:
    """The status of one worker. None for an unknown value, as the requests of a script."""
    row, is_script = worker.row, not config.bind
    state = known.state if known else WorkerState.KILLED
    return {
        "slot": worker.slot,
        "pid": worker.pid,
        "generation": worker.generation,
        "state": "draining" if state is WorkerState.RETIRING else state.value,
        "age": now - worker.born,
        "connections": row.connections if not is_script or sees_connections(config) else None,
        "in_flight": None if is_script else row.in_flight,
        "requests": None if is_script else row.requests,
        "doing": row.activity if row.in_flight else "",
        "busy": max(0.0, now - row.busy_since) if row.in_flight and row.busy_since else 0.0,
        "memory": resident(worker.pid),
        "log_lines_lost": row.lost,
        "idle_closed": row.idle_closed,
        "queue_time": row.queue_time,
        "blocked": bool(row.held),
        "loop_lag": row.loop_lag,
        "interface": worker.interface,
        "boot": None if worker.ready_at is None else worker.ready_at - worker.born,
        "debug": worker.debug,
    }
