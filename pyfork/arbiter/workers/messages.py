"""The arbiter and its workers: what they say and how they end becomes facts.

Rules: decides nothing, waits for nothing.
"""

import logging
import os
import time
from collections.abc import Sequence
from functools import partial

from pyfork.arbiter.children.watcher import Watch
from pyfork.arbiter.context import House
from pyfork.arbiter.listeners.dispatch import Dispatch
from pyfork.arbiter.memory import OomKills
from pyfork.arbiter.reporting import log_lines
from pyfork.arbiter.upgrade.new_side import Accession
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.workers import fork
from pyfork.arbiter.workers.process import Member
from pyfork.cluster import orphans
from pyfork.ipc import messages
from pyfork.ipc.poller import hand_on
from pyfork.record import asdict, entity, field
from pyfork.supervisor import events
from pyfork.supervisor.supervisor import BLAMELESS

log = logging.getLogger("pyfork.error")


@entity(kw_only=True)
class Liaison:
    """Speaks with every worker, and sees to the dead."""

    house: House
    accession: Accession
    upgrade: Upgrade
    dispatch: Dispatch
    watch: Watch
    oom_kills: OomKills = field(default_factory=OomKills)
    _told: set[tuple[int, str]] = field(default_factory=set)  # tracebacks that the log has already

    # What they say.

    def connect(self, member: Member) -> None:
        """Listen to a worker."""
        self.house.wires.connect(
            member.channel, partial(self._take, member), partial(_note_silence, member)
        )
        self.dispatch.join(member)

    def look(self) -> None:
        """Read what is on the scoreboard."""
        for member in self.house.crew:
            self._feed(events.Promised(member.worker, member.line.deadline))

    def _take(self, member: Member, message: messages.Message, fds: Sequence[int] = ()) -> None:
        """Turn a worker's message into a fact, or pass it on."""
        worker = member.worker
        match message:
            case messages.Ready(interface=interface):
                member.ready_at, member.interface = time.monotonic(), interface
                if interface == "script":
                    orphans.ask_for_them()
                took = (member.ready_at - member.born) * 1000
                log.info("%s is ready after %.0f ms (%s)", log_lines.who(member), took, interface)
                self._feed(events.Ready(worker))
                serving = self.house.supervisor.serving
                admitted = serving.adopted and self.accession.complete
                if admitted and serving.number == member.generation:
                    self._admit(member)
            case messages.Failed(reason=reason, detail=detail):
                member.failed = True
                self._tell_failure(member, reason, detail)
                self._feed(events.Failed(worker, reason, detail))
            case messages.Broken(reason=reason, detail=detail):
                self.house.generations.note_broken(member.generation, message)
                self._tell_once(member, f"the application does not load: {reason}", detail)
            case messages.Worn(reason=reason):
                log.info("%s is to be replaced: %s", log_lines.who(member), reason)
                self._feed(events.Worn(worker, reason))
            case messages.Offered(connection=connection):
                successor = self.upgrade.in_charge
                takers = [successor] if successor else self.house.crew
                self.house.handoffs.offer(member, connection, fds, takers)
            case messages.Taken(ticket=ticket):
                self.house.handoffs.settle(ticket, taken=True)
            case messages.Declined(ticket=ticket):
                self.house.handoffs.settle(ticket, taken=False)
            case _:
                if not self._take_of_script(member, message, fds):
                    who = log_lines.who(member)
                    log.error("%s sent what only the arbiter says: %s", who, message)

    def _take_of_script(
        self, member: Member, message: messages.Message, fds: Sequence[int]
    ) -> bool:
        """What a script has its worker say; whether it is that."""
        handles = self.house.ports.handles
        match message:
            case messages.QueryServer() if fds:
                answer, handle = handles.query(
                    message, fds[0], worker=member.worker, generation=member.generation
                )
                self.house.wires.send(member.channel, answer, handle)
            case messages.QueryFile(number=number, path=path):
                self.house.wires.send(member.channel, messages.Held(number, handles.holds(path)))
            case messages.Listening(key=key, dispatch=policy):
                if address := handles.listens(key):
                    log.info("%s listens on %s", log_lines.who(member), address)
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
        candidate = self.house.supervisor.candidate
        if candidate and candidate.number == member.generation:
            return
        if (member.generation, detail) in self._told:
            detail = ""
        self._told.add((member.generation, detail))
        log.error(
            log_lines.with_detail(f"{log_lines.who(member)} could not boot: {reason}", detail)
        )

    def _tell_once(self, member: Member, text: str, detail: str) -> None:
        """All workers of a generation say the same: it is not said for each of them."""
        if (member.generation, text + detail) not in self._told:
            self._told.add((member.generation, text + detail))
            log.error(log_lines.with_detail(text, detail))

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
            how = fork.describe(status)
            if member := self.house.crew.with_pid(pid):
                self._bury(member, how)
            elif not (self.upgrade.exited(pid, how) or self.watch.exited(pid, how)):
                log.debug("reaped process %d, no worker: %s", pid, how)

    def _bury(self, member: Member, how: str) -> None:
        for received in member.last_words():
            hand_on(partial(self._take, member), received.message, received.fds)
        now = time.monotonic()
        # A signal that was sent to all may end a worker before its arbiter tells it to leave.
        leaves = member.retiring or self.house.supervisor.stopping
        if leaves and how == "exit status 0":
            log.info(log_lines.departure(member, now))
        else:
            oom = self._out_of_memory() if how == "killed by SIGKILL" else None
            log.log(_gravity(member), log_lines.death(member, how, now, out_of_memory=oom))
        if member.interface == "script":
            orphans.end(member.slot)
        self.house.wires.unwatch(member.channel)
        self.dispatch.leave(member)
        self.house.crew.bury(member)
        self.house.handoffs.forget(member)
        self.house.ports.handles.gone(member.worker)
        self._feed(events.Exited(member.worker, how))

    def _out_of_memory(self) -> bool | None:
        """Whether the kernel killed somebody for that; None: nobody counts."""
        return self.oom_kills.happened() if self.oom_kills.known else None

    # What they are told.

    def tell(self, message: messages.Message, generation: int | None = None) -> None:
        """Send a message to all workers, or to those of one generation."""
        for member in self.house.crew:
            if generation in (None, member.generation):
                self.house.wires.send(member.channel, message)

    def admit(self, generation: int) -> None:
        """A generation serves from now on."""
        for member in self.house.crew:
            if member.generation == generation:
                self._admit(member)

    def _admit(self, member: Member) -> None:
        if member.held:
            member.held = False
            self.house.wires.send(member.channel, messages.Serve())

    def certify(self, now: float) -> None:
        """Give workers the certificates that have changed on the disk."""
        for generation, credentials in self.house.generations.certificates.act(now):
            self.tell(messages.Certify(**asdict(credentials)), generation)

    def _feed(self, fact: events.Fact) -> None:
        self.house.supervisor.feed(fact, time.monotonic())


def _gravity(member: Member) -> int:
    """How much an operator cares about a death: why a boot failed is in the log already."""
    if member.failed or (member.doom in BLAMELESS and member.ready_at is None):
        return logging.DEBUG
    return logging.INFO if member.doom in BLAMELESS else logging.ERROR


def _note_silence(member: Member, why: str) -> None:
    log.debug("%s closed its channel: %s", log_lines.who(member), why)
