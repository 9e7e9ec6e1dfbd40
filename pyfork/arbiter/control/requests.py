"""Requests over the control socket: a command each, and its answer.

A request is a JSON object in one line, ``{"request": "reload", "wait": true}``; so is its answer,
which has ``ok``, and if that is false, ``error`` and perhaps ``detail``. Lines that have
``progress`` instead may come before it.
"""

import json
import logging
import time
from collections.abc import Iterable
from typing import Any

from pyfork.arbiter.commands.table import Answer, Commands
from pyfork.arbiter.component import Component
from pyfork.arbiter.control.server import Client
from pyfork.arbiter.control.slots import SlotWaiters
from pyfork.arbiter.generations import Generations, ReloadResult
from pyfork.arbiter.reporting.stacks import StackQueries
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.upgrade.state import UpgradeStage
from pyfork.errors import PyforkError
from pyfork.ipc.channel import Channel
from pyfork.record import entity
from pyfork.supervisor.state import WorkerState
from pyfork.supervisor.supervisor import Supervisor

TAKEOVER = "takeover"  # the request of another arbiter; no command of an operator

log = logging.getLogger("pyfork.error")


@entity
class _ReloadWaiter:
    """Somebody waits for the end of a reload."""

    client: Client
    generation: int
    ready: int = -1  # workers, as the client knows


class Requests(Component):
    """Answers clients, from what the supervisor knows and the arbiter can do."""

    def __init__(
        self,
        commands: Commands,
        supervisor: Supervisor,
        generations: Generations,
        upgrade: Upgrade,
        slot_waiters: SlotWaiters,
        stacks: StackQueries,
    ) -> None:
        self._commands = commands
        self._upgrade = upgrade
        self._stage = UpgradeStage.NONE  # as waiting clients know
        self._supervisor = supervisor
        self._generations = generations
        self._upgrade_waiters: list[Client] = []
        self._slot_waiters = slot_waiters
        self._stacks = stacks
        self._reload_waiters: list[_ReloadWaiter] = []

    def on_request(self, client: Client, line: bytes) -> None:
        """Answer one line. An invalid one ends neither the connection nor the server."""
        try:
            name, options = _parse(line)
            if name == TAKEOVER and not options:
                self._takeover(client)
                return
            wait = self._check(name, options)
            answer = self._commands.run(name, "control", **options)
        except PyforkError as error:
            detail = {"detail": error.detail} if error.detail else {}
            client.send({"ok": False, "error": str(error), **detail})
        except Exception as error:  # a defect in an answer is no reason to end a server
            log.exception("a control request failed: %r", line[:200])
            client.send({"ok": False, "error": f"{type(error).__name__}: {error}"})
        else:
            if name == "stack":
                self._stacks.add(client, answer["pids"])
            elif not wait:
                client.send({"ok": True, **answer})
            elif name == "upgrade":
                self.resume([client])
            elif name in ("restart", "drain"):
                self._slot_waiters.add(client, answer["pids"])
            else:
                client.waits = True
                self._reload_waiters.append(_ReloadWaiter(client, answer["generation"]))

    def tick(self, now: float) -> None:
        """Tell waiting clients about the progress and the end of what they wait for."""
        self._settle_upgrade()
        self._slot_waiters.tick()
        for wait in self._reload_waiters.copy():
            outcome = self._generations.outcome(wait.generation)
            if outcome or wait.client.gone:
                self._reload_waiters.remove(wait)
            if outcome:
                wait.client.finish(_result(outcome))
            elif (ready := self._ready(wait.generation)) != wait.ready:
                wait.ready = ready
                wait.client.send({"progress": self._progress(wait)})

    def _check(self, name: str, options: dict[str, Any]) -> bool:
        """Check the options of a request. Returns whether the client waits for the end.

        Raises:
            PyforkError: there is no such command or option, or its value has another type.
        """
        public = {name: each for name, each in self._commands.table.items() if each.is_public}
        command = public.get(name)
        if command is None:
            names = ", ".join([*public, TAKEOVER])
            raise PyforkError(f"no such request: {name!r}; there are {names}")
        types = dict(command.options) | ({"wait": bool} if command.can_wait else {})
        for option, value in options.items():
            if option not in types:
                raise PyforkError(f"{name} has no option {option!r}")
            if type(value) is not types[option]:  # a bool is an int for isinstance()
                raise PyforkError(f"{name}: {option} must be {types[option].__name__}")
        return bool(options.pop("wait", False))

    def _takeover(self, client: Client) -> None:
        """From here on the client's socket is a channel between two arbiters."""
        end, _ = client.detach()
        self._upgrade.start_takeover(Channel(end), time.monotonic())

    # Clients that wait for an upgrade.

    def resume(self, clients: Iterable[Client]) -> None:
        """These wait for the end of the upgrade that is under way."""
        for client in clients:
            client.waits = True
            self._upgrade_waiters.append(client)
            self._upgrade.waiters.append(client)

    def _settle_upgrade(self) -> None:
        stage, last = self._upgrade.stage, self._upgrade.last
        if stage in (UpgradeStage.NONE, UpgradeStage.DRAINING) and last:
            for client in self._upgrade_waiters:
                client.finish(_result(last))
            self._upgrade_waiters.clear()
            self._upgrade.waiters.clear()
        elif stage is not self._stage:
            for client in self._upgrade_waiters:
                client.send({"progress": {"stage": stage.value}})
        self._stage = stage

    # Clients that wait for a reload.

    def _ready(self, generation: int) -> int:
        return sum(
            worker.state is WorkerState.SERVING and worker.generation.number == generation
            for worker in self._supervisor.workers
        )

    def _progress(self, wait: _ReloadWaiter) -> Answer:
        candidate = self._supervisor.candidate
        size = candidate.size if candidate and candidate.number == wait.generation else None
        return {"generation": wait.generation, "ready": wait.ready, "of": size}


def _parse(line: bytes) -> tuple[str, dict[str, Any]]:
    """The name and the options of a request. Raises PyforkError: it is none."""
    try:
        options = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PyforkError(f"not JSON: {error}") from None
    if not isinstance(options, dict) or not isinstance(options.get("request"), str):
        raise PyforkError('a request is an object such as {"request": "status"}')
    return options.pop("request"), options


def _result(outcome: ReloadResult) -> Answer:
    if outcome.error:
        failed = {"ok": False, "error": outcome.error, "detail": outcome.detail}
        return failed | {"generation": outcome.generation} if outcome.error_page else failed
    return {"ok": True, "generation": outcome.generation}
