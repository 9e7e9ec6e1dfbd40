"""A worker whose main thread belongs to a script: what both kinds of it share.

The script is ``__main__`` and knows nothing of this. One thread of ours reads the channel, calls
`tick` and serves the calls of child processes. `ManagedScript` runs under ``pyfork run``,
`SpawnedScript` under a program that forks its own workers.
"""

import os
from _thread import get_ident, start_new_thread
from collections.abc import Sequence
from typing import Any

import pyfork.cluster
from pyfork.cluster.descendants import ChildSetup
from pyfork.cluster.relay import Relay
from pyfork.cluster.script.arbiter_client import ArbiterClient
from pyfork.cluster.script.current import CurrentWorker
from pyfork.cluster.script.shutdown import ScriptShutdown
from pyfork.cluster.sockets import library_patches
from pyfork.cluster.sockets.accept_manager import AcceptManager
from pyfork.cluster.sockets.patches import SocketPatches
from pyfork.config.config import Config
from pyfork.config.script import sees_connections
from pyfork.ipc.messages import (
    AddListeners,
    Message,
    RemoveListeners,
    ScriptClosed,
    StartDrain,
)
from pyfork.ipc.scoreboard import RowState
from pyfork.ipc.worker_args import WorkerArgs


class ScriptWorker:
    """The life of one script in this process."""

    def __init__(self, args: WorkerArgs) -> None:
        config = args.config
        self.args = args
        self.arbiter = ArbiterClient(args.channel)
        self.accept_manager = (
            AcceptManager(
                args,
                request_recycle=self.request_recycle,
                released=lambda key: self.arbiter.send(ScriptClosed(key)),
            )
            if sees_connections(config)
            else None
        )
        self.patches = SocketPatches(
            arbiter=self.arbiter,
            exclusive=frozenset(config.exclusive),
            serving=self.on_serving,
            accept_manager=self.accept_manager,
            dispatch=config.dispatch,
        )
        self.relay = Relay(
            self.arbiter,
            has_handle=self.patches.fds.has_handle,
            listens=self.on_child_serving,
            sources=self.accept_manager.sources if self.accept_manager else lambda key: (-1, []),
        )
        self.patches.used = self.relay.uses
        self.child_setup = ChildSetup.for_worker(self.patches, self.relay)
        self.current = CurrentWorker(
            args.slot,
            send=self.send,
            disconnect=self.request_disconnect,
            end=self.end,
            ready=self.report_ready,
            is_connected=lambda: not self.arbiter.gone,
        )
        self.shutdown: ScriptShutdown | None = None
        self.pid = os.getpid()
        self.main_thread = get_ident()

    @property
    def config(self) -> Config:
        return self.args.config

    @property
    def draining(self) -> bool:
        """Whether the worker accepts nothing more and is about to end."""
        return self.shutdown is not None

    def install(self) -> None:
        """Patch sockets and libraries, and set `pyfork.cluster.worker`."""
        self.patches.install()
        library_patches.install(self.patches, self.log_note, self.child_setup)
        pyfork.cluster.become(self.current)
        self.child_setup.install(self.on_fork_in_child)

    def listen(self) -> None:
        """Start the thread that reads the channel."""
        self.arbiter.listen(self.on_message, tick=self.tick, relay=self.relay)

    def on_fork_in_child(self) -> None:
        """In a child of the script: give up what belongs to the worker alone."""
        self.arbiter.close_in_child()

    # Called by the thread.

    def tick(self) -> float | None:
        """Run periodic checks. Returns the seconds until the next call at most; None: no limit."""
        return self.accept_manager.tick() if self.accept_manager else None

    def on_message(self, message: Message | None, fds: Sequence[int]) -> None:
        """Handle a message of the arbiter or the primary; None: the channel is closed."""
        match message:
            case None:
                if self.accept_manager and not self.draining:
                    self.accept_manager.accept_directly()
                self.drain(self.orphan_grace, others_serve=False)
            case StartDrain(grace, handoff):
                self.drain(grace, others_serve=handoff)
            case AddListeners() | RemoveListeners() if self.accept_manager:
                self.accept_manager.on_message(message, fds)

    # The end.

    def drain(self, grace: float, *, others_serve: bool) -> None:
        """Stop accepting and end within ``grace`` seconds; a later call may shorten them.

        The shutdown has a thread of its own, since the script may still call the arbiter.
        """
        if self.shutdown is not None:
            self.shutdown.shorten(grace)
            return
        self.args.row.accepting = 0
        self.set_state(RowState.DRAINING)
        self.shutdown = self.new_shutdown()
        start_new_thread(self._run_shutdown, (self.shutdown, grace, others_serve))

    def _run_shutdown(self, shutdown: ScriptShutdown, grace: float, others_serve: bool) -> None:
        self.current.emit_later("disconnect")
        shutdown.run(grace, others_serve=others_serve)
        self.on_shutdown()

    def on_shutdown(self) -> None:
        """The script's handler of SIGTERM has been called."""

    def set_state(self, state: RowState) -> None:
        """Publish ``state`` on the scoreboard."""
        self.args.row.state = state

    # Filled in by a subclass.

    orphan_grace: float
    """Seconds for open connections after the channel was closed."""

    def new_shutdown(self) -> ScriptShutdown:
        """Make the shutdown of this process."""
        raise NotImplementedError

    def on_serving(self) -> None:
        """The script called listen(), or bound a datagram socket."""
        raise NotImplementedError

    def on_child_serving(self) -> None:
        """A process that the script started called listen()."""
        raise NotImplementedError

    def report_ready(self) -> None:
        """The script called `pyfork.cluster.ready`."""

    def request_recycle(self, reason: str) -> None:
        """The worker should be replaced."""

    def request_disconnect(self, now: bool) -> None:
        """The script called `CurrentWorker.disconnect`, or with ``now`` `CurrentWorker.kill`."""
        raise NotImplementedError

    def end(self, status: int) -> None:
        """End this process at once with ``status``."""
        raise NotImplementedError

    def send(self, value: Any) -> bool:
        """Send a message of the script to its parent. Returns whether the parent gets it."""
        raise NotImplementedError

    def log_note(self, text: str) -> None:
        """Tell the operator that a library was patched; one worker does so for all."""
        raise NotImplementedError
