"""What may be asked over the control socket: a table of requests, and the answers.

A request is a JSON object in one line, ``{"request": "reload", "wait": true}``; so is its answer,
which has ``ok``, and if that is false, ``error`` and perhaps ``detail``. Lines that have
``progress`` instead may come before it.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from pyfork.arbiter.component import Component
from pyfork.arbiter.control.server import Client
from pyfork.arbiter.generations import Generations, ReloadResult
from pyfork.arbiter.upgrade.old_side import Upgrade, UpgradeStage
from pyfork.errors import PyforkError
from pyfork.ipc.channel import Channel
from pyfork.record import entity, record
from pyfork.supervisor.events import OperatorCommand, Scale
from pyfork.supervisor.state import StopMode, WorkerState
from pyfork.supervisor.supervisor import STOPPING, Supervisor

MOST_WORKERS = 1024  # that may be asked for: a slip of the finger is no fork bomb

log = logging.getLogger("pyfork.error")

Answer = Mapping[str, object]


class ArbiterCommands(Protocol):
    """What an arbiter does when it is asked to."""

    def status(self) -> dict[str, Any]: ...

    def sockets(self) -> dict[str, Any]: ...

    def reload(self) -> int:
        """The new generation. Raises PyforkError: there is none."""

    def submit(self, wish: OperatorCommand | Scale) -> None: ...

    def reopen_logs(self) -> None: ...

    def upgrade(self) -> None:
        """Raises PyforkError: not now."""

    def accept_takeover(self, successor: Channel) -> None:
        """Another arbiter asks for the listeners; it hears the answer."""


@record
class ControlRequest:
    """One line of the table.

    ``run`` is called with the client and the options that were given. It returns the rest of the
    answer, or None if the client gets it later (`Client.finish`) or was detached; or raises
    PyforkError.
    """

    run: Callable[..., Answer | None]
    options: Mapping[str, type]


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
        arbiter: ArbiterCommands,
        supervisor: Supervisor,
        generations: Generations,
        upgrade: Upgrade,
    ) -> None:
        self._arbiter = arbiter
        self._upgrade = upgrade
        self._upgraders: list[Client] = []  # they wait for the end of the upgrade
        self._stage = UpgradeStage.NONE  # as they know
        self._supervisor = supervisor
        self._generations = generations
        self._waiting: list[_ReloadWaiter] = []
        self._table = {
            "status": ControlRequest(self._status, {}),
            "sockets": ControlRequest(self._sockets, {}),
            "reload": ControlRequest(self._reload, {"wait": bool}),
            "stop": ControlRequest(self._stop, {"quick": bool}),
            "scale": ControlRequest(self._scale, {"to": int, "by": int}),
            "reopen-logs": ControlRequest(self._reopen_logs, {}),
            "upgrade": ControlRequest(self._begin_upgrade, {"wait": bool}),
            "takeover": ControlRequest(self._takeover, {}),
        }

    def on_request(self, client: Client, line: bytes) -> None:
        """Answer one line; whatever is in it, the connection and the server go on."""
        try:
            request, options = self._read(line)
            answer = request.run(client, **options)
        except PyforkError as error:
            detail = {"detail": error.detail} if error.detail else {}
            client.send({"ok": False, "error": str(error), **detail})
        except Exception as error:  # a defect in an answer is no reason to end a server
            log.exception("a control request failed: %r", line[:200])
            client.send({"ok": False, "error": f"{type(error).__name__}: {error}"})
        else:
            if answer is not None:
                client.send({"ok": True, **answer})

    def tick(self, now: float) -> None:
        """Tell waiting clients about the progress and the end of what they wait for."""
        self._settle_upgrade()
        for wait in self._waiting.copy():
            outcome = self._generations.outcome(wait.generation)
            if outcome or wait.client.gone:
                self._waiting.remove(wait)
            if outcome:
                wait.client.finish(_told(outcome))
            elif (ready := self._ready(wait.generation)) != wait.ready:
                wait.ready = ready
                wait.client.send({"progress": self._progress(wait)})

    def _read(self, line: bytes) -> tuple[ControlRequest, dict[str, Any]]:
        try:
            options = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PyforkError(f"not JSON: {error}") from None
        if not isinstance(options, dict) or not isinstance(options.get("request"), str):
            raise PyforkError('a request is an object such as {"request": "status"}')
        name = options.pop("request")
        request = self._table.get(name)
        if request is None:
            raise PyforkError(f"no such request: {name!r}; there are {', '.join(self._table)}")
        for option, value in options.items():
            kind = request.options.get(option)
            if kind is None:
                raise PyforkError(f"{name} has no option {option!r}")
            if type(value) is not kind:  # a bool is an int for isinstance()
                raise PyforkError(f"{name}: {option} must be {kind.__name__}")
        return request, options

    # The requests.

    def _status(self, client: Client) -> Answer:
        return {"status": self._arbiter.status()}

    def _sockets(self, client: Client) -> Answer:
        return self._arbiter.sockets()

    def _reload(self, client: Client, *, wait: bool = False) -> Answer | None:
        log.info("control: reload")
        generation = self._arbiter.reload()
        if not wait:
            return {"generation": generation}
        client.waits = True
        self._waiting.append(_ReloadWaiter(client, generation))
        return None

    def _begin_upgrade(self, client: Client, *, wait: bool = False) -> Answer | None:
        log.info("control: upgrade")
        self._arbiter.upgrade()
        if not wait:
            return {}
        self.resume([client])
        return None

    def _takeover(self, client: Client) -> None:
        """From here on the client's socket is a channel between two arbiters."""
        end, _ = client.detach()
        self._arbiter.accept_takeover(Channel(end))

    def _stop(self, client: Client, *, quick: bool = False) -> Answer:
        """Unlike a signal, a stop asked for twice is no other than one asked for once."""
        if self._supervisor.haste < (StopMode.QUICK if quick else StopMode.GRACEFUL):
            log.info("control: %s stop", "quick" if quick else "graceful")
            self._arbiter.submit(OperatorCommand.QUICK_STOP if quick else OperatorCommand.STOP)
        return {}

    def _scale(self, client: Client, *, to: int | None = None, by: int | None = None) -> Answer:
        size = self._supervisor.serving.size
        if (to is None) == (by is None):
            raise PyforkError("scale needs one of to and by")
        wanted = to if to is not None else size + (by or 0)
        if self._supervisor.stop_requested:
            raise PyforkError(STOPPING)
        if not size:
            raise PyforkError("all workers were retired: a reload brings them back")
        if not 1 <= wanted <= MOST_WORKERS:
            raise PyforkError(f"from 1 to {MOST_WORKERS} workers may be asked for, not {wanted}")
        log.info("control: scale from %d to %d", size, wanted)
        self._arbiter.submit(Scale(wanted))
        return {"workers": wanted}

    def _reopen_logs(self, client: Client) -> Answer:
        self._arbiter.reopen_logs()
        log.info("control: log files are open anew")
        return {}

    # Clients that wait for an upgrade.

    def resume(self, clients: Iterable[Client]) -> None:
        """These wait for the end of the upgrade that is under way."""
        for client in clients:
            client.waits = True
            self._upgraders.append(client)
            self._upgrade.waiters.append(client)

    def _settle_upgrade(self) -> None:
        stage, last = self._upgrade.stage, self._upgrade.last
        if stage in (UpgradeStage.NONE, UpgradeStage.DRAINING) and last:
            for client in self._upgraders:
                client.finish(_told(last))
            self._upgraders.clear()
            self._upgrade.waiters.clear()
        elif stage is not self._stage:
            for client in self._upgraders:
                client.send({"progress": {"stage": stage.value}})
        self._stage = stage

    # Reloads that somebody waits for.

    def _ready(self, generation: int) -> int:
        return sum(
            worker.state is WorkerState.SERVING and worker.generation.number == generation
            for worker in self._supervisor.workers
        )

    def _progress(self, wait: _ReloadWaiter) -> Answer:
        candidate = self._supervisor.candidate
        size = candidate.size if candidate and candidate.number == wait.generation else None
        return {"generation": wait.generation, "ready": wait.ready, "of": size}


def _told(outcome: ReloadResult) -> Answer:
    if outcome.error:
        told = {"ok": False, "error": outcome.error, "detail": outcome.detail}
        return told | {"generation": outcome.generation} if outcome.error_page else told
    return {"ok": True, "generation": outcome.generation}
