"""The life of a worker that a program has forked: `main` runs in the fresh interpreter.

The script is `__main__` and begins at its first line; one thread of ours hears the primary. The
same hooks, and the same way out, as under ``pyfork run``. SIGTERM ends it as it ends any program,
unless the script says otherwise; only when it is told to leave does it unwind.
"""

import os
import signal
import sys
from _thread import get_ident, start_new_thread
from collections.abc import Sequence
from socket import socket
from types import FrameType
from typing import Any

import pyfork.cluster
from pyfork.cluster import descendants
from pyfork.cluster.descendants import Family
from pyfork.cluster.door import Door
from pyfork.cluster.primary.spawn import SpawnArgs
from pyfork.cluster.script import run_script
from pyfork.cluster.script.arbiter_client import ArbiterClient
from pyfork.cluster.script.current import CurrentWorker
from pyfork.cluster.script.shutdown import ScriptShutdown
from pyfork.cluster.sockets import library_patches
from pyfork.cluster.sockets.accept_manager import AcceptManager
from pyfork.cluster.sockets.patches import SocketPatches
from pyfork.config import directory
from pyfork.config.script import for_program, sees_connections
from pyfork.ipc.channel import Channel
from pyfork.ipc.messages import (
    AddListeners,
    Message,
    Online,
    RemoveListeners,
    StartDrain,
    UserMessage,
    WorkerQuitting,
)
from pyfork.ipc.scoreboard import RowState, Scoreboard
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.record import entity, field

ORPHANED = 30.0  # seconds for what was accepted, when the primary is gone


def main(start: tuple[Any, ...]) -> None:
    """Run the script that stands first in ``sys.argv``."""
    told = SpawnArgs(**dict(zip(SpawnArgs._fields, start, strict=True)))  # type: ignore[attr-defined]
    name, arguments = sys.argv[1], sys.argv[2:]
    for fd in (told.channel, told.board):
        os.set_inheritable(fd, False)
    if not sys.flags.safe_path:
        sys.path.insert(0, "")  # script.prepare says what is there
    life = SpawnedScript(birth=_birth(told))
    life.begin()
    run_script.prepare(name, arguments)
    try:
        run_script.run(run_script.locate(name))
        life.oneself.wait()
    finally:
        if os.getpid() == life.pid:
            descendants.end(name)


def _birth(told: SpawnArgs) -> WorkerArgs:
    board = Scoreboard(told.lines, told.board)
    line = board.line(told.index)
    line.pid, line.slot, line.state = os.getpid(), told.number, RowState.BOOTING
    return WorkerArgs(
        config=for_program(told.dispatch),
        slot=told.number,
        generation=0,
        listeners=(),
        directory=directory.Start.of_process(os.environ).enter(None),
        channel=Channel(socket(fileno=told.channel)),
        line=line,
        scoreboard=board,
    )


@entity(kw_only=True)
class SpawnedScript:
    """One worker's."""

    birth: WorkerArgs
    link: ArbiterClient = field(init=False)
    reception: AcceptManager | None = field(init=False)
    hooks: SocketPatches = field(init=False)
    door: Door = field(init=False)
    family: Family = field(init=False)
    oneself: CurrentWorker = field(init=False)
    status: int | None = None  # with which it ends when it hears SIGTERM
    departure: ScriptShutdown | None = None
    pid: int = field(default_factory=os.getpid)
    _main_thread: int = field(default_factory=get_ident)

    def __post_init__(self) -> None:
        config = self.birth.config
        self.link = ArbiterClient(self.birth.channel)
        seen = sees_connections(config)
        self.reception = AcceptManager(self.birth, lambda reason: None) if seen else None
        self.hooks = SocketPatches(
            link=self.link,
            exclusive=frozenset(),
            serving=self._serving,
            reception=self.reception,
            dispatch=config.dispatch,
        )
        self.door = Door(self.link, keeps=self.hooks.keeps, listens=self._serving)
        self.hooks.used = self.door.uses
        self.family = Family.of_worker(self.hooks, self.door)
        self.oneself = CurrentWorker(
            self.birth.slot,
            send=self._send,
            part=lambda now: self.link.send(WorkerQuitting(now)),
            end=self._end,
            is_connected=lambda: not self.link.gone,
        )

    def begin(self) -> None:
        """Before the script does."""
        pyfork.cluster.become(self.oneself)
        signal.signal(signal.SIGTERM, self._terminate)
        self.hooks.install()
        library_patches.install(self.hooks, self._note, self.family)
        self.family.adopt(self.link.close_in_child)
        self.link.send(Online())
        self.link.listen(self._told, tick=self._tick, door=self.door)

    def _serving(self) -> None:
        if self.departure is None:
            self.birth.line.state = RowState.SERVING
            self.birth.line.accepting = 1

    def _note(self, text: str) -> None:
        """Said by one worker for all."""
        if self.birth.slot == 1:
            print(f"{sys.argv[0]}: {text}", file=sys.stderr, flush=True)

    def _tick(self) -> float | None:
        return self.reception.tick() if self.reception else None

    def _send(self, value: Any) -> bool:
        if self.link.gone:
            return False
        self.link.send(UserMessage(value))
        return True

    def _told(self, message: Message | None, fds: Sequence[int]) -> None:
        match message:
            case None:
                if self.reception and self.departure is None:
                    self.reception.inherit()
                self._leave(ORPHANED, others_serve=False)
            case UserMessage(value):
                self.oneself.emit_later("message", value)
            case StartDrain(grace, handoff):
                self.oneself.exited_after_disconnect = True
                self._leave(grace, others_serve=handoff)
            case AddListeners() | RemoveListeners() if self.reception:
                self.reception.on_message(message, fds)

    # The end.

    def _end(self, status: int) -> None:
        self.status = status
        self._leave(0.0, others_serve=True)

    def _leave(self, grace: float, *, others_serve: bool) -> None:
        """In a thread of its own, since the script may have questions to the primary yet."""
        if self.departure is not None:
            self.departure.shorten(grace)
            return
        self.status = self.status or 0
        self.birth.line.accepting = 0
        self.birth.line.state = RowState.DRAINING
        self.departure = ScriptShutdown(
            self.hooks,
            self._main_thread,
            handler=self._terminate,
            status=self.status,
            outgoing=True,
        )
        start_new_thread(self._depart, (grace, others_serve))

    def _depart(self, grace: float, others_serve: bool) -> None:
        assert self.departure is not None
        self.oneself.emit_later("disconnect")
        self.departure.go(grace, others_serve=others_serve)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM, until the script has a handler of its own."""
        if self.status is None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            raise SystemExit(self.status)
