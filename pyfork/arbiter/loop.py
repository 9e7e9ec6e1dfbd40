"""The arbiter: one thread, one loop, one wait.

A turn waits until a worker speaks, a signal arrives or the supervisor's deadline passes; turns
what happened into facts; and performs what the supervisor then orders. Everything that can happen
comes in by `_listen`, everything that is done goes out by `_perform`.

Rules: decides nothing; imports no application and reads no client byte; waits nowhere but in
`_listen`, so that whatever happens is answered at once, also in the middle of a reload.
"""

import contextlib
import gc
import logging
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pyfork import __version__
from pyfork.arbiter import actions, facts, journal, process
from pyfork.arbiter.accession import Accession
from pyfork.arbiter.crew import Crew, Member
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.handoffs import Handoffs
from pyfork.arbiter.heritage import Estate, Heritage, Predecessor, scoreboard_for, supervisor_for
from pyfork.arbiter.pidfile import PidFile
from pyfork.arbiter.ports import Ports
from pyfork.arbiter.signals import Errand, Inbox, Meaning
from pyfork.arbiter.status import describe
from pyfork.arbiter.supervisor import BLAMELESS, STOPPING
from pyfork.arbiter.upgrade import Upgrade
from pyfork.arbiter.wires import Wires, hand_on
from pyfork.config.settings import Config
from pyfork.control.requests import Requests
from pyfork.control.server import Server
from pyfork.errors import ExitStatus, PyforkError
from pyfork.ipc import messages, titles
from pyfork.ipc.channel import Channel
from pyfork.log import setup

log = logging.getLogger("pyfork.error")


class Arbiter:
    """Holds the port and keeps the workers.

    Args:
        config: of the first generation.
        reread: returns the configuration anew, at each reload; raises ConfigError.
        worker_main: dotted name of a `WorkerMain`, resolved in each worker.
    """

    def __init__(
        self,
        config: Config,
        *,
        reread: Callable[[], Config],
        worker_main: str,
        heritage: Heritage = None,
    ) -> None:
        first = heritage.generation if heritage else 1
        self._heritage = heritage
        self._status: ExitStatus | None = None  # of this process, once that is known
        self._told: set[tuple[int, str]] = set()  # tracebacks that the log has already
        self._supervisor = supervisor_for(config, heritage)
        self._wires = Wires()
        self._ports = Ports()
        self._generations = Generations(config, reread, self._ports, first=first)
        self._crew = Crew(worker_main, self._what_a_child_closes, scoreboard_for(heritage))
        self._handoffs = Handoffs(self._wires.send)
        self._requests = Requests(self, self._supervisor, self._generations)
        self._control = Server(self._wires, self._requests.hear)
        self._started = time.monotonic()
        self._upgrade = Upgrade(
            supervisor=self._supervisor,
            crew=self._crew,
            ports=self._ports,
            generations=self._generations,
            handoffs=self._handoffs,
            wires=self._wires,
            disown=self._what_a_child_closes,
            carry_on=self._write_pid,
        )
        self._accession: Accession | None = None
        self._inbox: Inbox
        self._pidfile: PidFile | None = None

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
                self._requests.settle()
                self._upgrade.act(time.monotonic())
                patience = self._patience()
            return self._status
        finally:
            self._end()

    # From nothing to the loop, and back.

    def _start(self, config: Config) -> None:
        setup.configure(config)
        setup.identify("arbiter")
        titles.show(titles.arbiter_title(config.name, config.app))
        _allow_many_files()
        self._open(config)
        self._control.open(config.control)
        self._wires.watch(self._inbox, lambda mask: None)  # read after the workers: see _listen
        log.info(
            "pyfork %s (pid %d) serves %s on %s with %d worker%s, class %s",
            __version__,
            os.getpid(),
            config.app,
            ", ".join(each.address.url for each in self._ports.of(self._generations.first)),
            config.workers,
            "" if config.workers == 1 else "s",
            config.worker_class,
        )
        gc.freeze()  # what is here now stays: keep the collector off the pages that workers share
        if isinstance(self._heritage, Estate):
            self._reap()
            with contextlib.suppress(PyforkError):  # it is in the log
                self.reload()

    def _open(self, config: Config) -> None:
        """Have listeners and pid file: new ones, or those of the arbiter before this one."""
        first = self._generations.first
        match self._heritage:
            case None:
                self._ports.open(first, config)
                if config.pid:
                    self._pidfile = PidFile.claim(config.pid)
            case Estate() as estate:
                self._ports.inherit(estate.sockets())
                self._ports.resume(first, estate.listeners)
                self._crew.restore(estate.survivors)
                for member in self._crew:
                    self._connect(member)
                self._write_pid()
            case Predecessor() as predecessor:
                self._ports.inherit(predecessor.listeners)
                self._ports.files_are_ours = False
                self._ports.open(first, config)
                self._accession = Accession(
                    predecessor,
                    supervisor=self._supervisor,
                    wires=self._wires,
                    handoffs=self._handoffs,
                    takers=lambda: self._crew,
                )

    def _write_pid(self) -> None:
        """The pid file is ours, whoever's it was."""
        path = self._generations.config(self._supervisor.serving.number).pid
        if path:
            try:
                self._pidfile = PidFile.take(path)
            except PyforkError as error:
                log.error("%s", error)

    def _patience(self) -> float | None:
        """How long to wait for something to happen, at most."""
        deadlines = [self._supervisor.deadline(), self._upgrade.deadline]
        times = [deadline for deadline in deadlines if deadline is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _end(self) -> None:
        self._ports.close()
        if self._pidfile:
            self._pidfile.release()
        for member in self._crew:  # normally none: EOF tells them
            member.channel.close()
        self._inbox.close()
        self._control.close()  # last: who waits for our end sees it
        self._wires.close()

    def _what_a_child_closes(self) -> list[Callable[[], object]]:
        accession, successor = self._accession, self._upgrade.successor
        return [
            self._wires.close,
            self._inbox.disown,
            self._control.disown,
            *([accession.disown] if accession else []),
            *([successor.channel.close] if successor else []),
        ]

    # Facts: what happens, told to the supervisor.

    def _listen(self, patience: float | None) -> None:
        """Wait, at most ``patience`` seconds, and take in what has happened.

        Workers are heard before signals are read: who said that it is ready before a stop was
        asked for is retired, not killed.
        """
        self._wires.wait(patience)
        for meaning in self._inbox.read():
            self._obey(meaning)
        for member in self._crew:
            self._feed(facts.Promised(member.worker, member.line.deadline))

    def _feed(self, fact: facts.Fact) -> None:
        self._supervisor.feed(fact, time.monotonic())

    def _take(self, member: Member, message: messages.Message, fds: Sequence[int] = ()) -> None:
        """Turn a worker's message into a fact, or pass it on."""
        worker = member.worker
        match message:
            case messages.Ready(interface=interface):
                member.ready_at = time.monotonic()
                took = (member.ready_at - member.born) * 1000
                log.info("%s is ready after %.0f ms (%s)", journal.who(member), took, interface)
                self._feed(facts.Ready(worker))
                serving = self._supervisor.serving
                if serving.adopted and serving.number == member.generation:
                    self._wires.send(member.channel, messages.Serve())
            case messages.Failed(reason=reason, detail=detail):
                member.failed = True
                self._tell_failure(member, reason, detail)
                self._feed(facts.Failed(worker, reason, detail))
            case messages.Worn(reason=reason):
                log.info("%s is to be replaced: %s", journal.who(member), reason)
                self._feed(facts.Worn(worker, reason))
            case messages.Offered(connection=connection):
                successor = self._upgrade.in_charge
                self._handoffs.offer(
                    member, connection, fds, [successor] if successor else self._crew
                )
            case messages.Taken(ticket=ticket):
                self._handoffs.settle(ticket, taken=True)
            case messages.Declined(ticket=ticket):
                self._handoffs.settle(ticket, taken=False)
            case _:
                log.error("%s sent what only the arbiter says: %s", journal.who(member), message)

    def _tell_failure(self, member: Member, reason: str, detail: str) -> None:
        """Workers of one generation fail alike: the log gets the traceback once.

        That of a reload is told when the reload is abandoned.
        """
        candidate = self._supervisor.candidate
        if candidate and candidate.number == member.generation:
            return
        if (member.generation, detail) in self._told:
            detail = ""
        self._told.add((member.generation, detail))
        log.error(_with_detail(f"{journal.who(member)} could not boot: {reason}", detail))

    def _obey(self, meaning: Meaning) -> None:
        """What a signal asks for."""
        name = meaning.number.name
        match meaning.asks:
            case Errand.REAP:
                self._reap()
            case Errand.RELOAD:
                with contextlib.suppress(PyforkError):  # it is in the log
                    self.reload()
            case Errand.UPGRADE:
                with contextlib.suppress(PyforkError):  # it is in the log
                    self.upgrade()
            case Errand.REOPEN_LOGS:
                self.reopen_logs()
                log.info("%s: log files are open anew", name)
            case facts.Wish.RETIRE_ALL if _in_terminal():
                log.debug("%s: the window has changed", name)
            case facts.Wish() as wish:
                log.info("%s: %s", name, meaning.help.partition(":")[0].partition(".")[0].lower())
                self.ask(wish)

    # What operators may ask for, by signal or over the control socket.

    def status(self) -> dict[str, Any]:
        """What this server is at."""
        return describe(
            self._supervisor,
            self._generations,
            self._ports,
            self._crew,
            started=self._started,
            now=time.monotonic(),
        )

    def ask(self, wish: facts.Wish | facts.Scale) -> None:
        """Pass a wish on."""
        self._feed(facts.Asked(wish))

    def reopen_logs(self) -> None:
        """Log files were rotated: open them anew, in every process."""
        setup.reopen()
        for member in self._crew:
            self._wires.send(member.channel, messages.ReopenLogs())

    def upgrade(self) -> None:
        """Replace this program. Raises PyforkError: not now."""
        if refusal := self._upgrade.ask(time.monotonic()):
            log.warning("upgrade refused: %s", refusal)
            raise PyforkError(refusal)

    def follow(self, successor: Channel) -> None:
        """Another arbiter asks to take over; it hears why not, if that is so."""
        if refusal := self._upgrade.receive(successor, time.monotonic()):
            log.warning("takeover refused: %s", refusal)

    def reload(self) -> int:
        """Ask for a new generation, and return its number. Raises PyforkError: there is none."""
        if self._supervisor.stopping:
            raise PyforkError(STOPPING)
        try:
            reload = self._generations.begin(time.monotonic())
        except PyforkError as error:
            log.error("reload refused, all stays as it was: %s", error)
            raise
        log.info("reload: generation %d boots", reload.generation)
        self._feed(facts.Asked(reload))
        return reload.generation

    def _reap(self) -> None:
        """Wait for every child that ended. As PID 1 there are strangers among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            how = process.describe(status)
            if member := self._crew.with_pid(pid):
                self._bury(member, how)
            elif not self._upgrade.exited(pid, how, time.monotonic()):
                log.debug("reaped process %d, no worker: %s", pid, how)

    def _bury(self, member: Member, how: str) -> None:
        for received in member.last_words():
            hand_on(partial(self._take, member), received.message, received.fds)
        now = time.monotonic()
        if member.retiring and how == "exit status 0":
            log.info(journal.departure(member, now))
        else:
            log.log(_gravity(member), journal.death(member, how, now))
        self._wires.unwatch(member.channel)
        self._crew.bury(member)
        self._handoffs.forget(member)
        self._feed(facts.Exited(member.worker, how))

    # Actions: what the supervisor orders, done.

    def _act(self) -> None:
        """Until there is nothing to do: to fail at an order is a fact again."""
        while orders := self._supervisor.actions(time.monotonic()):
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
                if order.reason:
                    log.critical("pyfork gives up: %s", order.reason)
                else:
                    log.info("pyfork has stopped")
                dismissed = self._accession is not None and self._accession.dismissed
                self._status = ExitStatus.FAILED if dismissed else order.status
            case _:
                if member := self._crew.get(order.worker):
                    self._end_worker(member, order)

    def _end_worker(
        self, member: Member, order: actions.Retire | actions.Abort | actions.Kill
    ) -> None:
        match order:
            case actions.Retire(grace=grace):
                others = not self._supervisor.leaving or self._upgrade.in_charge is not None
                if not others:  # each worker empties the queue, and closes the last copy
                    self._ports.close()
                self._retire(member, messages.Retire(grace, handoff=others))
            case actions.Abort(reason=reason):
                log.error(journal.distress(member, reason, time.monotonic()))
                member.signal(signal.SIGABRT, doom=reason)
            case actions.Kill(reason=reason):
                member.signal(signal.SIGKILL, doom=reason)

    def _retire(self, member: Member, message: messages.Retire) -> None:
        """Tell it to leave; by TERM too if it may not hear."""
        member.retiring = True
        self._wires.send(member.channel, message)
        if not self._wires.is_connected(member.channel):
            member.signal(signal.SIGTERM)

    def _spawn(self, order: actions.Spawn) -> None:
        try:
            member = self._crew.spawn(
                order,
                self._generations.config(order.generation),
                self._ports,
                time.monotonic(),
                own_log=order.generation != self._supervisor.serving.number,
                held=self._others_serve_before(order.generation),
            )
        except OSError as error:
            log.error("cannot fork worker %d: %s", order.slot, error)
            self._feed(facts.Exited(order.worker, f"it could not be forked: {error}"))
        else:
            self._connect(member)

    def _connect(self, member: Member) -> None:
        self._wires.connect(
            member.channel, partial(self._take, member), partial(_note_silence, member)
        )

    def _others_serve_before(self, generation: int) -> bool:
        """Whether a new worker is not needed before all of its generation are ready."""
        serving = self._supervisor.serving
        if generation == serving.number:
            return not serving.adopted and self._accession is not None
        return True

    def _adopt(self, generation: int) -> None:
        config = self._generations.adopt(generation, time.monotonic())
        self._told.clear()
        for member in self._crew:
            if member.generation == generation:
                self._wires.send(member.channel, messages.Serve())
        if self._accession is not None and not self._accession.complete:
            self._ports.files_are_ours = True
            self._write_pid()
            self._accession.succeed()
        if generation == self._generations.first:
            return
        try:
            setup.configure(config)
        except PyforkError as error:
            log.error("the log stays as it was: %s", error)
        titles.show(titles.arbiter_title(config.name, config.app))
        log.info("reload: generation %d serves", generation)

    def _abandon(self, order: actions.Abandon) -> None:
        self._generations.abandon(order, time.monotonic())
        serving = self._supervisor.serving.number
        text = (
            f"reload failed: generation {order.generation} is abandoned, "
            f"generation {serving} serves on: {order.reason}"
        )
        log.error(_with_detail(text, order.detail))


def _gravity(member: Member) -> int:
    """How much an operator cares about a death: why a boot failed is in the log already."""
    if member.failed or (member.doom in BLAMELESS and member.ready_at is None):
        return logging.DEBUG
    return logging.INFO if member.doom in BLAMELESS else logging.ERROR


def _with_detail(text: str, detail: str) -> str:
    """One record for what happened and the application's traceback."""
    return f"{text}\n{detail.rstrip()}" if detail else text


def _note_silence(member: Member, why: str) -> None:
    log.debug("%s closed its channel: %s", journal.who(member), why)


def _allow_many_files() -> None:
    """Every connection is a file: raise the soft limit as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:  # macOS has a lower limit that it does not tell
            log.debug("the limit of open files stays at %d: %s", soft, error)


def _in_terminal() -> bool:
    """Whether a terminal has this process in its foreground, and so sends it WINCH."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
