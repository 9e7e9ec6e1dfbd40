"""The arbiter: one thread, one loop, one wait.

A turn waits until a worker speaks, a signal arrives or a deadline passes; turns what happened into
facts; and performs what the supervisor then orders. Everything that can happen comes in by
`_listen`, everything that is done goes out by `_perform`.

Rules: decides nothing; imports no application and reads no client byte; waits nowhere but in
`_listen`, so that whatever happens is answered at once, also in the middle of a reload.
"""

import contextlib
import gc
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from pyfork.arbiter import actions, facts, journal
from pyfork.arbiter.accession import Accession
from pyfork.arbiter.console import Console
from pyfork.arbiter.crew import Crew
from pyfork.arbiter.dispatch import Dispatch
from pyfork.arbiter.generations import Generations, Outcome
from pyfork.arbiter.handoffs import Handoffs
from pyfork.arbiter.heritage import Estate, Heritage, Predecessor, scoreboard_for, supervisor_for
from pyfork.arbiter.hooks import Hooks
from pyfork.arbiter.liaison import Liaison
from pyfork.arbiter.ports import Ports
from pyfork.arbiter.premises import Premises
from pyfork.arbiter.signals import Errand, Inbox, Meaning, in_terminal
from pyfork.arbiter.status import describe, describe_sockets
from pyfork.arbiter.supervisor import STOPPING
from pyfork.arbiter.systemd import Herald
from pyfork.arbiter.upgrade import Upgrade
from pyfork.arbiter.watch import Watch, Watched
from pyfork.config import unit
from pyfork.config.settings import Config
from pyfork.control.requests import Requests
from pyfork.control.server import Server
from pyfork.errors import ExitStatus, PyforkError
from pyfork.ipc import messages, titles
from pyfork.ipc.channel import Channel
from pyfork.ipc.wires import Wires
from pyfork.log import setup
from pyfork.record import asdict

log = logging.getLogger("pyfork.error")

NOT_OURS = "another arbiter has taken over: ask that one"


class Arbiter:
    """Holds the port and keeps the workers.

    Args:
        config: of the first generation.
        reread: returns the configuration anew, at each reload; raises ConfigError.
        worker_main: dotted name of a `WorkerMain`, resolved in each worker.
        watched: who watches the files where --reload is asked for.
        heritage: what this arbiter follows, if it does.
        notes: what there is to say of the configuration, a line each.
    """

    def __init__(
        self,
        config: Config,
        *,
        reread: Callable[[], Config],
        worker_main: str,
        heritage: Heritage = None,
        watched: Watched | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        first = heritage.generation if heritage else 1
        self._heritage = heritage
        self._status: ExitStatus | None = None  # of this process, once that is known
        self._notes = notes
        self._started = time.monotonic()
        self._inbox: Inbox
        self._wires = Wires()
        self._ports = Ports()
        self._handoffs = Handoffs(self._wires.send)
        self._supervisor = supervisor_for(config, heritage)
        self._hooks = Hooks(
            config, lambda: self._supervisor.serving.size, renewed=isinstance(heritage, Estate)
        )
        self._generations = Generations(
            config, self._hooks.rereading(reread), self._ports, first=first
        )
        self._premises = Premises(self._ports, self._generations)
        self._crew = Crew(
            worker_main, self._what_a_child_closes, scoreboard_for(heritage), self._hooks
        )
        self._accession: Accession | None = None
        self._dispatch = Dispatch(
            supervisor=self._supervisor,
            generations=self._generations,
            crew=self._crew,
            ports=self._ports,
            wires=self._wires,
        )
        self._upgrade = Upgrade(
            supervisor=self._supervisor,
            crew=self._crew,
            ports=self._ports,
            generations=self._generations,
            handoffs=self._handoffs,
            wires=self._wires,
            disown=self._what_a_child_closes,
            unsettled=lambda: self._accession is not None and not self._accession.over,
            disturbed=lambda: self._inbox.waiting or self._dispatch.holding,
            clients=lambda: self._requests.upgrading,
            give_way=self._give_way,
            carry_on=self._carry_on,
            before_exec=self._hooks.before_exec,
        )
        self._watch = Watch(
            watched=watched,
            wires=self._wires,
            disown=self._what_another_child_closes,
            changed=self._changed,
        )
        self._console = Console(self._generations, self._crew, self._ports)
        self._liaison = Liaison(
            supervisor=self._supervisor,
            crew=self._crew,
            ports=self._ports,
            generations=self._generations,
            handoffs=self._handoffs,
            wires=self._wires,
            upgrade=self._upgrade,
            dispatch=self._dispatch,
            watch=self._watch,
            hold_first=isinstance(heritage, Predecessor),
        )
        self._herald = Herald(
            unit.notify_socket(os.environ),
            unit.watchdog_interval(os.environ, os.getpid()),
            supervisor=self._supervisor,
            generations=self._generations,
            upgrade=self._upgrade,
            silent=isinstance(heritage, Predecessor),
        )
        self._requests = Requests(self, self._supervisor, self._generations, self._upgrade)
        self._control = Server(self._wires, self._requests.hear)

    def run(self) -> ExitStatus:
        """Serve until told to stop. Returns the exit status of the command.

        Raises:
            PyforkError: it could not start: a log file, an address or the pid file is not to be
                had. Nothing is left behind then.
        """
        self._inbox = Inbox()
        try:
            self._start(self._generations.config(self._generations.first))
            patience: float | None = 0.0
            while self._status is None:
                self._listen(patience)
                self._act()
                self._hooks.recount()
                self._ports.handles.act(time.monotonic())
                self._dispatch.act(time.monotonic())
                self._upgrade.act(time.monotonic())
                self._watch.act(time.monotonic())
                self._certify()
                self._requests.settle()
                if self._accession:
                    self._accession.act()
                self._herald.act(time.monotonic())
                patience = self._patience()
            return self._status
        finally:
            self._end()

    # From nothing to the loop, and back.

    def _start(self, config: Config) -> None:
        setup.configure(config)
        setup.identify("arbiter")
        titles.show(titles.arbiter_title(config.name, config.app))
        for note in self._notes:
            log.info("%s", note)
        self._hooks.start()
        self._premises.open(config, self._heritage)
        if not isinstance(self._heritage, Predecessor):
            self._control.open(config.control)
        self._wires.watch(self._inbox, lambda mask: None)  # read after the workers: see _listen
        self._console.starts(config)
        self._hooks.ready()
        gc.freeze()  # what is here now stays: keep the collector off the pages that workers share
        if not isinstance(self._heritage, Predecessor):
            self._watch.heed(config)
        match self._heritage:
            case Estate() as estate:
                self._go_on(estate)
            case Predecessor() as predecessor:
                self._accession = Accession(
                    predecessor,
                    supervisor=self._supervisor,
                    wires=self._wires,
                    handoffs=self._handoffs,
                    takers=lambda: self._crew,
                    take_charge=self._take_charge,
                )

    def _go_on(self, estate: Estate) -> None:
        """After an exec: the workers are there, and serve the code of before."""
        self._crew.restore(estate.survivors)
        for member in self._crew:
            self._liaison.connect(member)
        self._liaison.reap()
        self._requests.resume([self._control.resume(fd) for fd in estate.clients])
        try:
            self._upgrade.renew(self.reload())
        except PyforkError as error:
            self._upgrade.renewed(Outcome(None, time.monotonic(), str(error)))

    def _end(self) -> None:
        self._watch.close()
        self._premises.close()
        for member in self._crew:  # normally none: EOF tells them
            member.channel.close()
        self._inbox.close()
        self._hooks.end()
        self._control.close()  # last: who waits for our end sees it
        self._wires.close()

    def _take_charge(self) -> None:
        """The arbiter before this one yields, or is gone."""
        serving = self._supervisor.serving.number
        self._liaison.hold_first = False
        self._upgrade.last = Outcome(serving, time.monotonic())
        self._carry_on()
        self._adopt(serving)

    def _carry_on(self) -> None:
        """What there is only one of is this arbiter's."""
        config = self._generations.config(self._supervisor.serving.number)
        self._premises.take_charge(config)
        self._watch.heed(config)
        if not self._control.is_open:
            self._control.open(config.control)

    def _give_way(self) -> None:
        """Another arbiter wants the same control socket, if it has a place of its own."""
        config = self._generations.config(self._supervisor.serving.number)
        if config.control != "auto":
            self._control.unlisten()

    def _what_a_child_closes(self) -> list[Callable[[], object]]:
        accession, successor = self._accession, self._upgrade.successor
        return [
            self._wires.close,
            self._inbox.disown,
            self._control.disown,
            self._dispatch.disown,
            *self._watch.places(),
            *([accession.disown] if accession else []),
            *([successor.channel.close] if successor else []),
        ]

    def _what_another_child_closes(self) -> list[Callable[[], object]]:
        """What a child closes that is no worker."""
        ports = (each.close for each in self._ports.all().values())
        board = self._crew.scoreboard.close_file
        return [*self._what_a_child_closes(), *ports, *self._crew.channels(), board]

    # Facts: what happens, told to the supervisor.

    def _listen(self, patience: float | None) -> None:
        """Wait, at most ``patience`` seconds, and take in what has happened.

        Workers are heard before signals are read, and what they said has its consequences first:
        who was ready before a stop was asked for is retired, not killed.
        """
        self._wires.wait(patience)
        if meanings := self._inbox.read():
            self._act()
        for meaning in meanings:
            self._obey(meaning)
        self._liaison.look()

    def _patience(self) -> float | None:
        """How long to wait for something to happen, at most."""
        deadlines = (
            self._dispatch.deadline,
            self._supervisor.deadline(),
            self._upgrade.deadline,
            self._herald.deadline,
            self._ports.handles.deadline,
            self._watch.deadline,
            self._generations.certificates.deadline,
        )
        times = [deadline for deadline in deadlines if deadline is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _obey(self, meaning: Meaning) -> None:
        """What a signal asks for. What is refused is in the log."""
        name = meaning.number.name
        match meaning.asks:
            case Errand.REAP:
                self._liaison.reap()
            case Errand.RELOAD:
                with contextlib.suppress(PyforkError):
                    self.reload()
            case Errand.UPGRADE:
                with contextlib.suppress(PyforkError):
                    self.upgrade()
            case Errand.REOPEN_LOGS:
                self.reopen_logs()
                log.info("%s: log files are open anew", name)
            case facts.Wish.RETIRE_ALL if in_terminal():
                log.debug("%s: the window has changed", name)
            case facts.Wish() as wish:
                log.info("%s: %s", name, meaning.help.partition(":")[0].partition(".")[0].lower())
                self.ask(wish)

    def _changed(self, message: messages.Changed) -> None:
        """Files have changed: as if the operator had asked for a reload."""
        if self._supervisor.stopping:
            return
        self._console.changed(message)
        with contextlib.suppress(PyforkError):
            self._console.expect(self.reload(), message)

    # What operators may ask for, by signal or over the control socket.

    def status(self) -> dict[str, Any]:
        """What this server is at."""
        return describe(
            self._supervisor,
            self._generations,
            self._ports,
            self._crew,
            self._upgrade,
            started=self._started,
            now=time.monotonic(),
        )

    def sockets(self) -> dict[str, Any]:
        """What this server and its workers listen on."""
        return describe_sockets(self._ports, self._crew)

    def ask(self, wish: facts.Wish | facts.Scale) -> None:
        """Pass a wish on."""
        self._supervisor.feed(facts.Asked(wish), time.monotonic())

    def reopen_logs(self) -> None:
        """Log files were rotated: open them anew, in every process."""
        setup.reopen()
        self._liaison.tell(messages.ReopenLogs())

    def reload(self) -> int:
        """Ask for a new generation, and return its number. Raises PyforkError: there is none."""
        if self._supervisor.stopping:
            raise PyforkError(STOPPING if not self._upgrade.in_charge else NOT_OURS)
        now = time.monotonic()
        try:
            reload = self._generations.begin(now)
        except PyforkError as error:
            text = f"reload refused, all stays as it was: {error}"
            log.error(journal.with_detail(text, error.detail))
            raise
        log.info("reload: generation %d boots", reload.generation)
        self._supervisor.feed(facts.Asked(reload), now)
        return reload.generation

    def upgrade(self) -> None:
        """Replace this program. Raises PyforkError: not now."""
        if refusal := self._upgrade.ask(time.monotonic()):
            log.warning("upgrade refused: %s", refusal)
            raise PyforkError(refusal)

    def follow(self, successor: Channel) -> None:
        """Another arbiter asks to take over; it hears why not, if that is so."""
        if refusal := self._upgrade.receive(successor, time.monotonic()):
            log.warning("takeover refused: %s", refusal)

    def _certify(self) -> None:
        """Give workers the certificates that have changed on the disk."""
        renewed = self._generations.certificates.act(time.monotonic())
        for generation, credentials in renewed:
            self._liaison.tell(messages.Certify(**asdict(credentials)), generation)

    # Actions: what the supervisor orders, done.

    def _act(self) -> None:
        """Until there is nothing to do: to fail at an order is a fact again."""
        while orders := self._supervisor.actions(time.monotonic()):
            for order in orders:
                self._perform(order)

    def _perform(self, order: actions.Action) -> None:
        match order:
            case actions.Spawn():
                self._liaison.spawn(order)
            case actions.Adopt(generation=generation):
                self._adopt(generation)
            case actions.Abandon():
                self._abandon(order)
            case actions.Finish():
                self._finish(order)
            case _:
                self._liaison.dismiss(order)

    def _adopt(self, generation: int) -> None:
        """A whole generation is ready."""
        if self._accession and not self._accession.complete:
            self._accession.succeed()
            return
        config = self._generations.adopt(generation, time.monotonic())
        self._liaison.admit(generation)
        self._console.adopted(generation)
        if generation == self._generations.first:
            return
        self._watch.heed(config)
        try:
            setup.configure(config)
        except PyforkError as error:
            log.error("the log stays as it was: %s", error)
        self._hooks.config = config
        titles.show(titles.arbiter_title(config.name, config.app))
        log.info("reload: generation %d serves", generation)

    def _abandon(self, order: actions.Abandon) -> None:
        self._generations.abandon(order, time.monotonic())
        self._console.abandoned(order, self._supervisor.serving.number)

    def _finish(self, order: actions.Finish) -> None:
        dismissed = self._accession.dismissed if self._accession else ""
        if self._accession:
            failure = self._supervisor.serving.failure
            self._accession.fail(order.reason, failure.detail if failure else "")
        if reason := dismissed or order.reason:
            log.critical("pyfork gives up: %s", reason)
        else:
            log.info("pyfork has stopped")
        self._status = ExitStatus.FAILED if dismissed else order.status
