"""What the supervisor orders, done.

Rules: decides nothing, waits for nothing; that an order cannot be done is a fact like another.
"""

import logging
import signal
import time

from pyfork.arbiter.children.watcher import Watch
from pyfork.arbiter.context import House
from pyfork.arbiter.generations import Outcome
from pyfork.arbiter.listeners.dispatch import Dispatch
from pyfork.arbiter.reporting import log_lines
from pyfork.arbiter.reporting.reporter import Console
from pyfork.arbiter.resources import Premises
from pyfork.arbiter.upgrade.new_side import Accession
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.workers.messages import Liaison
from pyfork.arbiter.workers.process import Member
from pyfork.config.directory import within
from pyfork.errors import ExitStatus, HookError, PyforkError
from pyfork.ipc import messages, titles
from pyfork.log import setup
from pyfork.record import entity
from pyfork.supervisor import actions, events

log = logging.getLogger("pyfork.error")


@entity(kw_only=True)
class Orders:
    """Carries them out."""

    house: House
    accession: Accession
    upgrade: Upgrade
    dispatch: Dispatch
    premises: Premises
    watch: Watch
    liaison: Liaison
    console: Console
    status: ExitStatus | None = None  # of this process, once that is known

    def act(self) -> None:
        """Until there is nothing to do: to fail at an order is a fact again."""
        while orders := self.house.supervisor.actions(time.monotonic()):
            for order in orders:
                self._perform(order)

    def _perform(self, order: actions.Action) -> None:
        match order:
            case actions.Spawn():
                self._spawn(order)
            case actions.Adopt(generation=generation):
                self._adopt(generation)
            case actions.Abandon():
                self._abandon(order)
            case actions.Finish():
                self._finish(order)
            case _:
                self._dismiss(order)

    # One worker.

    def _spawn(self, order: actions.Spawn) -> None:
        house = self.house
        try:
            member = house.crew.spawn(
                order,
                house.generations.config(order.generation),
                house.generations.directory(order.generation),
                house.ports,
                time.monotonic(),
                own_log=order.generation != house.supervisor.serving.number,
                held=self._others_serve_before(order.generation),
                tls=house.generations.certificates.of(order.generation),
            )
        except (OSError, HookError) as error:
            text = f"cannot fork worker {order.slot}: {error}"
            log.error(log_lines.with_detail(text, getattr(error, "detail", "")))
            how = f"it could not be forked: {error}"
            house.supervisor.feed(events.Exited(order.worker, how), time.monotonic())
        else:
            self.liaison.connect(member)

    def _others_serve_before(self, generation: int) -> bool:
        """Whether a new worker is not needed before all of its generation are ready."""
        if generation == self.house.supervisor.serving.number:
            return not self.accession.complete
        return True

    def _dismiss(self, order: actions.Retire | actions.Abort | actions.Kill) -> None:
        """Tell a worker to leave, or make it. Nothing happens if it is gone."""
        member = self.house.crew.get(order.worker)
        if member is None:
            return
        match order:
            case actions.Retire(grace=grace):
                self._retire(member, grace)
            case actions.Abort(reason=reason):
                log.error(log_lines.distress(member, reason, time.monotonic()))
                member.signal(signal.SIGABRT, doom=reason)
            case actions.Kill(reason=reason):
                member.signal(signal.SIGKILL, doom=reason)

    def _retire(self, member: Member, grace: float) -> None:
        """Tell it to leave; by TERM too if it may not hear."""
        others = not self.house.supervisor.leaving or self.upgrade.in_charge is not None
        if not others:  # each worker empties the queue, and closes the last copy
            self.dispatch.finish()
            self.house.ports.close()
        member.retiring = True
        self.house.wires.send(member.channel, messages.Retire(grace, handoff=others))
        if not self.house.wires.is_connected(member.channel):
            member.signal(signal.SIGTERM)

    # A generation.

    def _adopt(self, generation: int) -> None:
        """A whole generation is ready."""
        if not self.accession.complete:
            self.accession.succeed()
            return
        house = self.house
        config = house.generations.adopt(generation, time.monotonic())
        self.liaison.admit(generation)
        self.console.adopted(generation)
        if generation == house.generations.first:
            return
        directory = house.generations.directory(generation)
        self.watch.heed(config, directory)
        try:
            with within(directory.base):
                setup.configure(config)
        except (OSError, PyforkError) as error:
            log.error("the log stays as it was: %s", error)
        house.hooks.config = config
        titles.show(titles.arbiter_title(config.name, config.app))
        log.info("reload: generation %d serves", generation)

    def _abandon(self, order: actions.Abandon) -> None:
        self.house.generations.abandon(order, time.monotonic())
        self.console.abandoned(order, self.house.supervisor.serving.number)

    # The whole server.

    def take_charge(self) -> None:
        """The arbiter before this one yields, or is gone."""
        serving = self.house.supervisor.serving.number
        self.upgrade.last = Outcome(serving, time.monotonic())
        self.premises.take_charge()
        self._adopt(serving)

    def _finish(self, order: actions.Finish) -> None:
        failure = self.house.supervisor.serving.failure
        self.accession.fail(order.reason, failure.detail if failure else "")
        dismissed = self.accession.dismissed
        if reason := dismissed or order.reason:
            log.critical("pyfork gives up: %s", reason)
        else:
            log.info("pyfork has stopped")
        self.status = ExitStatus.FAILED if dismissed else order.status
