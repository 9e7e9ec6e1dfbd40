"""A worker that a program has forked: `main` runs in a fresh interpreter.

The script is `__main__` and begins at its first line. Sockets and shutdown work as under
``pyfork run``. SIGTERM ends the process as it ends any program, unless the script handles it; the
script unwinds only after a disconnect.
"""

import os
import signal
import sys
from collections.abc import Sequence
from socket import socket
from types import FrameType
from typing import Any

from pyfork.cluster import descendants
from pyfork.cluster.primary.spawn import SpawnArgs
from pyfork.cluster.script import run_script
from pyfork.cluster.script.script_worker import ScriptWorker
from pyfork.cluster.script.shutdown import ScriptShutdown
from pyfork.config import directory
from pyfork.config.script import for_program
from pyfork.ipc.channel import Channel
from pyfork.ipc.messages import Message, Online, StartDrain, UserMessage, WorkerQuitting
from pyfork.ipc.scoreboard import RowState, Scoreboard
from pyfork.ipc.worker_args import WorkerArgs


def main(fields: tuple[Any, ...]) -> None:
    """Run the script that stands first in ``sys.argv``; ``fields`` are those of `SpawnArgs`."""
    args = SpawnArgs(**dict(zip(SpawnArgs._fields, fields, strict=True)))  # type: ignore[attr-defined]
    name, arguments = sys.argv[1], sys.argv[2:]
    for fd in (args.channel, args.board):
        os.set_inheritable(fd, False)
    if not sys.flags.safe_path:
        sys.path.insert(0, "")  # run_script.prepare sets it
    worker = SpawnedScript(_worker_args(args))
    worker.start()
    run_script.prepare(name, arguments)
    try:
        run_script.run(run_script.locate(name))
        worker.current.wait()
    finally:
        if os.getpid() == worker.pid:
            descendants.end(name)


def _worker_args(args: SpawnArgs) -> WorkerArgs:
    board = Scoreboard(args.lines, args.board)
    row = board.row(args.index)
    row.pid, row.slot, row.state = os.getpid(), args.number, RowState.BOOTING
    return WorkerArgs(
        config=for_program(args.dispatch),
        slot=args.number,
        generation=0,
        listeners=(),
        directory=directory.Start.of_process(os.environ).enter(None),
        channel=Channel(socket(fileno=args.channel)),
        row=row,
        scoreboard=board,
    )


class SpawnedScript(ScriptWorker):
    """The life of a script that `pyfork.cluster.fork` started."""

    orphan_grace = 30.0
    status: int | None = None  # of the exit by SIGTERM; None: as without pyfork

    def start(self) -> None:
        """Set up the process for the script."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        self.install()
        self.arbiter.send(Online())
        self.listen()

    def on_serving(self) -> None:
        if not self.draining:
            self.set_state(RowState.SERVING)
            self.args.row.accepting = 1

    def on_child_serving(self) -> None:
        self.on_serving()

    def log_note(self, text: str) -> None:
        if self.args.slot == 1:
            print(f"{sys.argv[0]}: {text}", file=sys.stderr, flush=True)

    def send(self, value: Any) -> bool:
        if self.arbiter.gone:
            return False
        self.arbiter.send(UserMessage(value))
        return True

    def on_message(self, message: Message | None, fds: Sequence[int]) -> None:
        match message:
            case UserMessage(value):
                self.current.emit_later("message", value)
            case StartDrain():
                self.current.exited_after_disconnect = True
                super().on_message(message, fds)
            case _:
                super().on_message(message, fds)

    # The end.

    def request_disconnect(self, now: bool) -> None:
        self.arbiter.send(WorkerQuitting(now))

    def end(self, status: int) -> None:
        self.status = status
        self.drain(0.0, others_serve=True)

    def new_shutdown(self) -> ScriptShutdown:
        self.status = self.status or 0
        return ScriptShutdown(
            self.patches,
            self.main_thread,
            handler=self._on_sigterm,
            status=self.status,
            outgoing=True,
        )

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGTERM until the script has its own."""
        if self.status is None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            raise SystemExit(self.status)
