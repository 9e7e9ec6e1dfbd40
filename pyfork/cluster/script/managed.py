"""A worker whose main thread belongs to a script.

`main` is what the arbiter runs in the child. The script is `__main__` and knows nothing of this;
one thread of ours hears the arbiter. Ready is the first listen(), or what `--ready-on` says.

A worker that is held, because the generation before it serves until the whole new one is ready,
stays in its first listen() until it is told to serve: it need not be told to stop accepting.
"""

import logging
import os
import signal
import sys
import threading
from _thread import LockType, allocate_lock, get_ident, start_new_thread
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

import pyfork.cluster
from pyfork.address import parse
from pyfork.child.privileges import drop_privileges
from pyfork.child.signals import ignore_arbiter_signals
from pyfork.cluster import descendants
from pyfork.cluster.descendants import Family
from pyfork.cluster.door import Door
from pyfork.cluster.script import run_script
from pyfork.cluster.script.arbiter_client import ArbiterClient
from pyfork.cluster.script.current import CurrentWorker
from pyfork.cluster.script.shutdown import ScriptShutdown, exit_on_sigterm
from pyfork.cluster.sockets import accept_manager, library_patches
from pyfork.cluster.sockets.accept_manager import AcceptManager
from pyfork.cluster.sockets.open_sockets import listening_sockets
from pyfork.cluster.sockets.patches import SocketPatches
from pyfork.config.config import Config
from pyfork.config.script import sees_connections
from pyfork.errors import BootError, ConfigError, ExitStatus
from pyfork.ipc.messages import (
    AddListeners,
    Failed,
    HandoffRefused,
    HandoffTake,
    Message,
    Recycle,
    RemoveListeners,
    ReopenLogs,
    StartAccepting,
    StartDrain,
    WorkerReady,
)
from pyfork.ipc.scoreboard import RowState
from pyfork.ipc.titles import set_title, worker_title
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader import tracebacks
from pyfork.log import setup as logs
from pyfork.net.bind_errors import explain
from pyfork.record import entity, field

log = logging.getLogger("pyfork.error")

NO_PORT = 5.0  # seconds after which a script that has not listened is one without a port
LOOK = 0.25  # seconds between two looks for sockets that were not made in Python


def main(birth: WorkerArgs) -> int:
    """Run the script; the exit status is returned."""
    worker = ManagedScript(birth)
    try:
        worker.boot()
        status = worker.live()
    except BootError as error:
        if birth.config.reload and worker.hears:
            return worker.serve_error_page(error)
        birth.channel.send(Failed(str(error), error.detail))
        return error.status
    return status


@entity
class ManagedScript:
    """The life of a script."""

    birth: WorkerArgs
    link: ArbiterClient = field(init=False)
    reception: AcceptManager | None = field(init=False)
    hooks: SocketPatches = field(init=False)
    door: Door = field(init=False)
    family: Family = field(init=False)
    oneself: CurrentWorker = field(init=False)
    name: str = ""  # of the script
    interface: str = "script"
    hears: bool = False  # the arbiter
    ready: bool = False
    departure: ScriptShutdown | None = None
    _pid: int = field(default_factory=os.getpid)
    _main_thread: int = field(default_factory=get_ident)
    _accept_lock: LockType = field(default_factory=allocate_lock)  # locked while it is not to serve
    _ready_at: float | None = None  # with --ready-on delay
    _worn: bool = False  # the arbiter knows
    _told: bool = False  # that a socket cannot be shared
    _next_scan: float = 0.0
    _seen: set[str] = field(default_factory=set)  # at the last look

    def __post_init__(self) -> None:
        self.link = ArbiterClient(self.birth.channel)
        seen = sees_connections(self.config)
        self.reception = AcceptManager(self.birth, self._wear) if seen else None
        self.hooks = SocketPatches(
            link=self.link,
            exclusive=frozenset(self.config.exclusive),
            serving=self._serving,
            reception=self.reception,
            dispatch=self.config.dispatch,
        )
        self.door = Door(self.link, keeps=self.hooks.keeps, listens=self._child_listens)
        self.hooks.used = self.door.uses
        self.family = Family.of_worker(self.hooks, self.door)
        self.oneself = CurrentWorker(
            self.birth.slot,
            send=self._on_readable,
            part=lambda now: None if now else self._wear("its script asks for it"),
            end=lambda status: self._leave(0.0, others_serve=True),
            is_connected=lambda: not self.link.gone,
        )

    @property
    def config(self) -> Config:
        return self.birth.config

    @property
    def leaving(self) -> bool:
        """Whether it was told to."""
        return self.departure is not None

    # Boot.

    def boot(self) -> None:
        """Become a worker. Raises BootError."""
        config = self.config
        if refusal := accept_manager.refusal(config):
            raise BootError(refusal)
        ignore_arbiter_signals()
        signal.signal(signal.SIGTERM, exit_on_sigterm)
        os.environ["PYFORK_WORKER"] = str(self.birth.slot)
        drop_privileges(config)
        self._enter()
        if self.birth.hold_accept and self._waits_for_port:
            self._accept_lock.acquire()
        if config.ready_on == "delay":
            self._ready_at = monotonic() + config.ready_delay
        elif config.ready_on == "auto" and not self.birth.script_addresses:
            self._ready_at = monotonic() + NO_PORT
        self.hooks.install()
        library_patches.install(self.hooks, self._note, self.family)
        pyfork.cluster.become(self.oneself)
        pyfork.cluster.ready = self._report_ready
        self.family.adopt(self.link.close_in_child)
        self.link.listen(self._told_by_arbiter, tick=self._tick, door=self.door)
        self.hears = True

    def _enter(self) -> None:
        """The directory, the environment and the path that the script is to see."""
        config, directory = self.config, self.birth.directory
        assert config.app is not None
        os.environ.update(config.env)
        with suppress(OSError):  # it may be gone, where neither script nor --chdir need it
            os.chdir(directory.base)
        ahead = [os.path.abspath(path) for path in config.pythonpath]
        self.name = run_script.locate(config.app)
        try:
            directory.enter()
        except ConfigError as error:
            raise BootError(str(error)) from error
        if not self.name.startswith(run_script.MODULE) and not os.path.exists(self.name):
            raise BootError(f"there is no script {config.app} in {os.getcwd()}")
        run_script.prepare(self.name, config.script_args)
        if not self.name.startswith(run_script.MODULE):
            sys.argv[0] = config.app
        sys.path[1:1] = ahead
        if config.reload:
            from pyfork.dev import breakpoints, bytecode

            breakpoints.install()
            bytecode.install({*ahead, sys.path[0], os.getcwd()})

    # The script.

    def live(self) -> int:
        """From its first line to its last thread. Raises BootError if it never served."""
        try:
            self._run()
        except SystemExit as error:
            if not self._boots:
                raise
            status = 0 if error.code is None else error.code
            raise BootError(
                f"{self.config.app} ended with status {status} {self._before()}"
            ) from error
        except BaseException as error:
            if not self._boots:
                sys.excepthook(type(error), error, error.__traceback__)
                return ExitStatus.FAILED
            raise BootError(
                f"{self.config.app} raised {tracebacks.one_line(error)}{self._refused()}",
                tracebacks.app_traceback(error, also="<frozen runpy>"),
            ) from error
        if self._boots:
            raise BootError(f"{self.config.app} ended {self._before()}{self._advice()}")
        return ExitStatus.OK

    def _advice(self) -> str:
        """What to write where the script defines an application and does not run it."""
        from pyfork.loader import discovery  # few scripts end like this

        path = os.path.relpath(self.name)
        found = discovery.of_file(os.getcwd(), path) if path.endswith(".py") else None
        return f"; it defines an application: use pyfork {found.spec}" if found else ""

    @property
    def _boots(self) -> bool:
        """Whether this is not ready yet. A child of the script's that comes to its end is not
        the worker."""
        return not (self.ready or self.leaving) and os.getpid() == self._pid

    def _run(self) -> None:
        try:
            run_script.run(self.name)
            threading._shutdown()  # type: ignore[attr-defined]  # as python does at the end
        finally:
            if os.getpid() == self._pid:
                descendants.end(sys.argv[0])

    def serve_error_page(self, error: BootError) -> int:
        """In development, once the script has failed: be ready all the same, and answer with the
        reason on the ports that it had. Ends by SIGTERM."""
        from pyfork.dev import error_servers
        from pyfork.dev.error_report import broken

        self.link.send(broken(error))
        self.interface = error_servers.INTERFACE
        signal.signal(signal.SIGTERM, exit_on_sigterm)
        birth = self.birth
        error_servers.serve(
            birth.config, birth.line, error, birth.script_addresses, self._report_ready
        )
        return ExitStatus.OK

    def _before(self) -> str:
        waited = {"delay": "was ready", "message": "called ready()"}
        return f"before it {waited.get(self.config.ready_on, 'listened')}{self._refused()}"

    def _refused(self) -> str:
        """Who has the address that the script could not have."""
        refusal = self.hooks.refusal
        if refusal is None:
            return ""
        return f"; {explain(parse(refusal.text), refusal.error)}"

    # Ready.

    @property
    def _waits_for_port(self) -> bool:
        """Whether it is ready as soon as it listens."""
        return self.config.ready_on in ("auto", "listen")

    def _serving(self) -> None:
        """It listens, or a datagram socket is bound."""
        if self._waits_for_port and not self.leaving:
            self._report_ready()
            with self._accept_lock:
                pass
        if not self.leaving:
            self.birth.line.accepting = 1

    def _child_listens(self) -> None:
        """A process that the script has started does. It is not held: nobody waits for it."""
        if self._waits_for_port and not self.leaving:
            self._report_ready()
        if not self.leaving:
            self.birth.line.accepting = 1

    def _report_ready(self) -> None:
        if not self.ready:
            self.ready = True
            self._become(RowState.SERVING)
            self.link.send(WorkerReady(self.interface))

    def _tick(self) -> float | None:
        """Once in a while; how long until the next time, at most."""
        settled = self.ready or self.leaving
        patience = self._watch_limits() if settled else self._watch_boot()
        flushed = logs.flush()
        self.birth.line.lost = logs.lost()
        return patience if flushed else min(patience or accept_manager.BEAT, accept_manager.BEAT)

    def _watch_limits(self) -> float | None:
        """While there is something to watch."""
        patience = None
        if self.config.max_memory and not self._worn:
            patience = accept_manager.BEAT
            if reason := accept_manager.check_memory(self.config.max_memory):
                self._wear(reason)
        return self.reception.tick() if self.reception else patience

    def _wear(self, reason: str) -> None:
        """Ask to be replaced, and serve on until then."""
        if not self._worn:
            self._worn = True
            self.link.send(Recycle(reason))

    def _watch_boot(self) -> float | None:
        """Until it is ready: there are servers that bind in C."""
        if self._ready_at is not None:
            if self._waits_for_port and run_script.imports(self._main_thread):
                self._ready_at = monotonic() + NO_PORT
            elif monotonic() >= self._ready_at:
                if self._waits_for_port:
                    self._note(f"no port after {NO_PORT:.0f} s: ready without (--ready-on delay)")
                self._report_ready()
                return None
        if self._notice_foreign() and self._waits_for_port:
            self._report_ready()
            return None
        return LOOK

    def _notice_foreign(self) -> bool:
        """Whether something listens that we know nothing of; seen twice, since what is being
        shared just now is not known yet."""
        if monotonic() < self._next_scan:
            return False
        self._next_scan = monotonic() + LOOK
        seen, self._seen = self._seen, set(listening_sockets(self.hooks.is_known))
        foreign = sorted(seen & self._seen)
        if foreign and not self._told:
            self._told = True
            log.warning(
                "%s listens on %s by a socket that was not made in Python: it cannot be shared, "
                "and is this worker's own",
                self.config.app,
                ", ".join(foreign),
            )
        return bool(foreign)

    def _on_readable(self, value: object) -> bool:
        """What the script sends: the arbiter has no program that would hear it, but for this,
        which is what pm2 knows too."""
        if value == "ready":
            self._report_ready()
        return value == "ready"

    def _note(self, text: str) -> None:
        """Said by one worker for all: they run the same script."""
        if self.birth.slot == 0:
            log.info("%s: %s", self.config.app, text)

    # What the arbiter says.

    def _told_by_arbiter(self, message: Message | None, fds: Sequence[int]) -> None:
        match message:
            case None:
                log.warning("the arbiter is gone: leaving")
                if self.reception and not self.leaving:
                    self.reception.inherit()
                self._leave(self.config.graceful_timeout, others_serve=False)
            case StartDrain(grace, handoff):
                self._leave(grace, others_serve=handoff)
            case StartAccepting():
                self._release()
            case AddListeners() | RemoveListeners() if self.reception:
                self.reception.on_message(message, fds)
            case ReopenLogs():
                logs.reopen()
            case HandoffTake(ticket):
                self.link.send(HandoffRefused(ticket))
            case _:
                log.error("no script understands %r", message)

    def _leave(self, grace: float, *, others_serve: bool) -> None:
        if self.departure is not None:
            self.departure.shorten(grace)
            return
        self.departure = ScriptShutdown(self.hooks, self._main_thread)
        self.birth.line.accepting = 0
        self._become(RowState.DRAINING)
        self.oneself.emit_later("disconnect")
        start_new_thread(self._depart, (grace, others_serve))

    def _depart(self, grace: float, others_serve: bool) -> None:
        assert self.departure is not None
        self.departure.go(grace, others_serve=others_serve)
        self._release()

    def _release(self) -> None:
        """Whoever waits in listen() may go on."""
        if self._accept_lock.locked() and self.birth.hold_accept:
            try:
                self._accept_lock.release()
            except RuntimeError:  # it was not held any more
                return

    def _become(self, state: RowState) -> None:
        self.birth.line.state = state
        birth = self.birth
        set_title(worker_title(self.config.name, birth.slot, birth.generation, state.name.lower()))
