"""What a server is at, as plain data: for whoever asks over the control socket.

Times are durations in seconds, so that no clock need agree with another. Nothing is decided here
but the words.
"""

import os
from typing import Any

from pyfork import __version__
from pyfork.arbiter.context import House
from pyfork.arbiter.generations import Outcome
from pyfork.arbiter.listeners.table import Ports
from pyfork.arbiter.upgrade.old_side import Stage, Upgrade
from pyfork.arbiter.workers.pool import Crew
from pyfork.arbiter.workers.process import Member
from pyfork.config.config import Config
from pyfork.config.script import sees_connections
from pyfork.log import setup
from pyfork.supervisor.state import Haste, State, Worker
from pyfork.supervisor.supervisor import Supervisor
from pyfork.system.proc_sockets import listening, queues
from pyfork.system.process import resident


def describe(house: House, upgrade: Upgrade, *, uptime: float, now: float) -> dict[str, Any]:
    """Everything that ``status`` answers. Reads /proc: for somebody who asks, not for each turn."""
    supervisor, generations = house.supervisor, house.generations
    serving = supervisor.serving
    config = generations.config(serving.number)
    state = state_of(supervisor)
    known = {worker.serial: worker for worker in supervisor.workers}
    return {
        "version": __version__,
        "pid": os.getpid(),
        "name": config.name,
        "app": config.app,
        "addresses": house.ports.addresses(serving.number),
        "http": config.http,
        "state": state,
        # An error page is no application: a probe by HTTP, which it answers with 500, says so too.
        "ready": state in ("serving", "reloading") and supervisor.complete and not generations.page,
        "broken": generations.page.reason if generations.page else None,
        "generation": serving.number,
        "uptime": uptime,
        "last_reload": _outcome(generations.last, now),
        "upgrade": upgrade.stage.value if upgrade.stage is not Stage.NONE else None,
        "last_upgrade": _outcome(upgrade.last, now),
        "log_lines_lost": setup.lost()
        + house.crew.lost
        + sum(member.line.lost for member in house.crew),
        "workers_wanted": serving.size,
        "workers": [
            _worker(member, known.get(member.worker), config, now)
            for member in sorted(house.crew, key=lambda each: (each.slot, each.generation))
        ],
    }


def describe_sockets(ports: Ports, crew: Crew) -> dict[str, Any]:
    """Everything that ``sockets`` answers. Reads /proc, as `describe` does."""
    names = {member.pid: f"worker {member.slot}" for member in crew} | {os.getpid(): "arbiter"}
    own = queues(ports.all().values())
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
            for each in listening([os.getpid(), *(member.pid for member in crew)])
        ]
    }


def state_of(supervisor: Supervisor) -> str:
    """booting, serving, reloading, draining (a graceful stop) or stopping (a quick one)."""
    if supervisor.stopping:
        return "draining" if supervisor.haste is Haste.GRACEFUL else "stopping"
    if not supervisor.serving.adopted:
        return "booting"
    return "reloading" if supervisor.candidate else "serving"


def _outcome(outcome: Outcome | None, now: float) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {
        "ok": not outcome.error,
        "generation": outcome.generation,
        "ago": now - outcome.at,
        "error": outcome.error,
        "detail": outcome.detail,
    }


def _worker(member: Member, known: Worker | None, config: Config, now: float) -> dict[str, Any]:
    """None for what is not known, as a script's requests."""
    line, is_script = member.line, not config.bind
    state = known.state if known else State.KILLED
    return {
        "slot": member.slot,
        "pid": member.pid,
        "generation": member.generation,
        "state": "draining" if state is State.RETIRING else state.value,
        "age": now - member.born,
        "connections": line.connections if not is_script or sees_connections(config) else None,
        "in_flight": None if is_script else line.in_flight,
        "requests": None if is_script else line.requests,
        "doing": line.doing if line.in_flight else "",
        "busy": max(0.0, now - line.busy_since) if line.in_flight and line.busy_since else 0.0,
        "memory": resident(member.pid),
        "log_lines_lost": line.lost,
        "idle_closed": line.idle_closed,
    }
