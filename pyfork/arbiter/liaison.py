"""The arbiter and its workers: what they say and how they end becomes facts; orders reach them.

Rules: decides nothing, waits for nothing.
"""

import logging
import os
import signal
import time
from collections.abc import Sequence
from functools import partial

from pyfork.arbiter import actions, facts, journal, process
from pyfork.arbiter.crew import Crew
from pyfork.arbiter.dispatch import Dispatch
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.handoffs import Handoffs
from pyfork.arbiter.member import Member
from pyfork.arbiter.ports import Ports
from pyfork.arbiter.supervisor import BLAMELESS, Supervisor
from pyfork.arbiter.upgrade import Upgrade
from pyfork.arbiter.watch import Watch
from pyfork.errors import HookError
from pyfork.ipc import messages
from pyfork.ipc.wires import Wires, hand_on
from pyfork.record import entity, field

log = logging.getLogger("pyfork.error")


@entity(kw_only=True)
class Liaison:
    """Speaks with every worker, and sees to the dead."""

    supervisor: Supervisor
    crew: Crew
    ports: Ports
    generations: Generations
    handoffs: Handoffs
    wires: Wires
    upgrade: Upgrade
    dispatch: Dispatch
    watch: Watch
    hold_first: bool  # another arbiter serves still
    _told: set[tuple[int, str]] = field(default_factory=set)  # tracebacks that the log has already

    # What they say.

    def connect(self, member: Member) -> None:
        """Listen to a worker."""
        self.wires.connect(
            member.channel, partial(self._take, member), partial(_note_silence, member)
        )
        self.dispatch.join(member)

    def look(self) -> None:
        """Read what is on the scoreboard."""
        for member in self.crew:
            self._feed(facts.Promised(member.worker, member.line.deadline))

    def tell(self, message: messages.Message, generation: int | None = None) -> None:
        """Send a message to all workers, or to those of one generation."""
        for member in self.crew:
            if generation in (None, member.generation):
                self.wires.send(member.channel, message)

    def admit(self, generation: int) -> None:
        """A generation serves from now on."""
        for member in self.crew:
            if member.generation == generation:
                self._admit(member)

    def _admit(self, member: Member) -> None:
        member.held = False
        self.wires.send(member.channel, messages.Serve())

    def _take(self, member: Member, message: messages.Message, fds: Sequence[int] = ()) -> None:
        """Turn a worker's message into a fact, or pass it on."""
        worker = member.worker
        match message:
            case messages.Ready(interface=interface):
                member.ready_at, member.interface = time.monotonic(), interface
                took = (member.ready_at - member.born) * 1000
                log.info("%s is ready after %.0f ms (%s)", journal.who(member), took, interface)
                self._feed(facts.Ready(worker))
                serving = self.supervisor.serving
                admitted = serving.adopted and not self.hold_first
                if admitted and serving.number == member.generation:
                    self._admit(member)
            case messages.Failed(reason=reason, detail=detail):
                member.failed = True
                self._tell_failure(member, reason, detail)
                self._feed(facts.Failed(worker, reason, detail))
            case messages.Broken(reason=reason, detail=detail):
                self.generations.note_broken(member.generation, message)
                self._tell_once(member, f"the application does not load: {reason}", detail)
            case messages.Worn(reason=reason):
                log.info("%s is to be replaced: %s", journal.who(member), reason)
                self._feed(facts.Worn(worker, reason))
            case messages.Offered(connection=connection):
                successor = self.upgrade.in_charge
                self.handoffs.offer(
                    member, connection, fds, [successor] if successor else self.crew
                )
            case messages.Taken(ticket=ticket):
                self.handoffs.settle(ticket, taken=True)
            case messages.Declined(ticket=ticket):
                self.handoffs.settle(ticket, taken=False)
            case _:
                if not self._take_of_script(member, message, fds):
                    who = journal.who(member)
                    log.error("%s sent what only the arbiter says: %s", who, message)

    def _take_of_script(
        self, member: Member, message: messages.Message, fds: Sequence[int]
    ) -> bool:
        """What a script has its worker say; whether it is that."""
        handles = self.ports.handles
        match message:
            case messages.QueryServer() if fds:
                answer, handle = handles.query(
                    message, fds[0], worker=member.worker, generation=member.generation
                )
                self.wires.send(member.channel, answer, handle)
            case messages.QueryFile(number=number, path=path):
                self.wires.send(member.channel, messages.Held(number, handles.holds(path)))
            case messages.Listening(key=key, dispatch=policy):
                if address := handles.listens(key):
                    log.info("%s listens on %s", journal.who(member), address)
                self.dispatch.seat(member, key, policy)
            case messages.Closed(key=key):
                self.dispatch.unseat(member, key)
                handles.closed(key, member.worker)
            case _:
                return False
        return True

    def _tell_failure(self, member: Member, reason: str, detail: str) -> None:
        """Workers of one generation fail alike: the log gets the traceback once.

        That of a reload is told when the reload is abandoned.
        """
        candidate = self.supervisor.candidate
        if candidate and candidate.number == member.generation:
            return
        if (member.generation, detail) in self._told:
            detail = ""
        self._told.add((member.generation, detail))
        log.error(journal.with_detail(f"{journal.who(member)} could not boot: {reason}", detail))

    def _tell_once(self, member: Member, text: str, detail: str) -> None:
        """All workers of a generation say the same: it is not said for each of them."""
        if (member.generation, text + detail) not in self._told:
            self._told.add((member.generation, text + detail))
            log.error(journal.with_detail(text, detail))

    # How they end.

    def reap(self) -> None:
        """Wait for every child that ended. As PID 1 there are strangers among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            how = process.describe(status)
            if member := self.crew.with_pid(pid):
                self._bury(member, how)
            elif not (self.upgrade.exited(pid, how) or self.watch.exited(pid, how)):
                log.debug("reaped process %d, no worker: %s", pid, how)

    def _bury(self, member: Member, how: str) -> None:
        for received in member.last_words():
            hand_on(partial(self._take, member), received.message, received.fds)
        now = time.monotonic()
        if member.retiring and how == "exit status 0":
            log.info(journal.departure(member, now))
        else:
            log.log(_gravity(member), journal.death(member, how, now))
        self.wires.unwatch(member.channel)
        self.dispatch.leave(member)
        self.crew.bury(member)
        self.handoffs.forget(member)
        self.ports.handles.gone(member.worker)
        self._feed(facts.Exited(member.worker, how))

    # What they are told.

    def spawn(self, order: actions.Spawn) -> None:
        """Fork a worker; that it could not be done is a fact like another."""
        try:
            member = self.crew.spawn(
                order,
                self.generations.config(order.generation),
                self.ports,
                time.monotonic(),
                own_log=order.generation != self.supervisor.serving.number,
                held=self._others_serve_before(order.generation),
                tls=self.generations.certificates.of(order.generation),
            )
        except (OSError, HookError) as error:
            text = f"cannot fork worker {order.slot}: {error}"
            log.error(journal.with_detail(text, getattr(error, "detail", "")))
            self._feed(facts.Exited(order.worker, f"it could not be forked: {error}"))
        else:
            self.connect(member)

    def _others_serve_before(self, generation: int) -> bool:
        """Whether a new worker is not needed before all of its generation are ready."""
        serving = self.supervisor.serving
        if generation == serving.number:
            return self.hold_first
        return True

    def dismiss(self, order: actions.Retire | actions.Abort | actions.Kill) -> None:
        """Tell a worker to leave, or make it. Nothing happens if it is gone."""
        member = self.crew.get(order.worker)
        if member is None:
            return
        match order:
            case actions.Retire(grace=grace):
                others = not self.supervisor.leaving or self.upgrade.in_charge is not None
                if not others:  # each worker empties the queue, and closes the last copy
                    self.dispatch.finish()
                    self.ports.close()
                self._retire(member, messages.Retire(grace, handoff=others))
            case actions.Abort(reason=reason):
                log.error(journal.distress(member, reason, time.monotonic()))
                member.signal(signal.SIGABRT, doom=reason)
            case actions.Kill(reason=reason):
                member.signal(signal.SIGKILL, doom=reason)

    def _retire(self, member: Member, message: messages.Retire) -> None:
        """Tell it to leave; by TERM too if it may not hear."""
        member.retiring = True
        self.wires.send(member.channel, message)
        if not self.wires.is_connected(member.channel):
            member.signal(signal.SIGTERM)

    def _feed(self, fact: facts.Fact) -> None:
        self.supervisor.feed(fact, time.monotonic())


def _gravity(member: Member) -> int:
    """How much an operator cares about a death: why a boot failed is in the log already."""
    if member.failed or (member.doom in BLAMELESS and member.ready_at is None):
        return logging.DEBUG
    return logging.INFO if member.doom in BLAMELESS else logging.ERROR


def _note_silence(member: Member, why: str) -> None:
    log.debug("%s closed its channel: %s", journal.who(member), why)
