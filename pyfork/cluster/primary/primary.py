"""The primary of a program that forks its own workers, as Node's cluster does.

It has no supervisor: a dead worker is replaced only if the program does so. It uses the parts of
the arbiter that sockets need: channels, handles, round-robin.

One loop without threads drives it: in `run`, at the end of the program, or inside the asyncio loop
that forks. Everything that happens becomes an event. Events are emitted one after the other, never
within a call of the program.

Rules: reads no byte of a client; runs in the thread that forks.
"""

import atexit
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any

from pyfork.cluster.events import Emitter, running_loop
from pyfork.cluster.primary.port import Port
from pyfork.cluster.primary.spawn import (
    PrimarySettings,
    SpawnArgs,
    as_started,
    changed,
    spawn,
    this_script,
)
from pyfork.cluster.primary.worker import Address, Worker, WorkerEntry
from pyfork.cluster.sockets.accept_manager import unsupported_reason
from pyfork.config.script import for_program
from pyfork.ipc.channel import pair
from pyfork.ipc.messages import (
    Message,
    Online,
    ScriptClosed,
    ScriptListening,
    StartDrain,
    UserMessage,
    WorkerQuitting,
)
from pyfork.ipc.poller import Poller
from pyfork.ipc.scoreboard import Scoreboard

SCOREBOARD_ROWS = 512  # workers at a time
NO_LIMIT = 1e9  # seconds: like Node, a worker may take as long as its clients do
EXIT_POLL_SECONDS = 0.01  # between two polls for the exit of a process whose channel is closed


class Primary(Emitter):
    """The one primary of this process.

    Args:
        workers: connected workers by id; filled here.
    """

    events = ("setup", "fork", "online", "listening", "message", "disconnect", "exit")

    def __init__(self, workers: dict[int, Worker]) -> None:
        super().__init__()
        self.workers = workers
        self.settings = _initial_settings()
        self._pid = os.getpid()
        self._poller = Poller()
        self._board = Scoreboard(SCOREBOARD_ROWS)
        self._free_rows = list(range(SCOREBOARD_ROWS - 1, -1, -1))
        self._running: dict[int, Worker] = {}  # those that have not ended
        self._disconnected: list[Worker] = []  # disconnected, and not reaped yet
        self._number = 0
        self._port = self._new_port()
        self._pending_events: deque[Callable[[], object]] = deque()
        self._disconnect_waiters: list[tuple[set[int], Callable[[], object]]] = []
        self._loop: Any = None  # the asyncio loop, if that drives this
        self._timer: Any = None
        self._finished = False
        atexit.register(self._at_exit)
        os.register_at_fork(after_in_child=self._close_in_child)

    # Called by the program.

    def set_up(self, **given: Any) -> None:
        """Set how later workers are started. Raises ValueError."""
        before = self.settings or (given["exec"] and as_started(given["exec"]))
        if not before:
            raise ValueError("no script runs here: send exec='server.py'")
        self.settings = changed(before, **given)
        self._emit_settings(self.settings)

    def _emit_settings(self, settings: PrimarySettings) -> None:
        self._pending_events.append(partial(self.emit, "setup", settings))
        self._wake()

    def fork(self, dispatch: str, env: dict[str, str]) -> Worker:
        """Start a worker. Raises OSError, ValueError."""
        if why := unsupported_reason(for_program(dispatch)):
            raise ValueError(why)
        if (how := self.settings) is None:
            raise ValueError("no script runs here: send setup_primary(exec='server.py')")
        if not self._free_rows:
            raise OSError(f"{SCOREBOARD_ROWS} workers are as many as there can be")
        self._attach_loop()
        self._number += 1
        ours, theirs = pair()
        index = self._free_rows.pop()
        self._board.mark_used(index)
        start = SpawnArgs(
            number=self._number,
            channel=theirs.fileno(),
            board=self._board.fd,
            lines=SCOREBOARD_ROWS,
            index=index,
            dispatch=dispatch,
        )
        self._emit_settings(how)
        try:
            process = spawn(how, start, env)
        except BaseException:
            ours.close()
            self._free_rows.append(index)
            raise
        finally:
            theirs.close()
        row = self._board.row(index)
        entry = WorkerEntry(
            serial=self._number, channel=ours, row=row, index=index, port=self._port
        )
        worker = Worker(entry, process, send=self._send_to, disconnect=self._disconnect)
        self.workers[worker.id] = self._running[worker.id] = worker
        self._poller.connect(
            ours, partial(self._on_readable, worker), partial(self._on_channel_closed, worker)
        )
        self._queue_event("fork", worker)
        return worker

    def disconnect(self, then: Callable[[], object] | None) -> None:
        """Tell all workers to disconnect; call ``then`` after the last one has ended."""
        draining = [worker for worker in self._running.values() if worker.is_connected()]
        if then:
            self._disconnect_waiters.append(({worker.id for worker in draining}, then))
            self._check_disconnect_waiters()
        if draining:
            self._port.finish()
            self._port = self._new_port()
        for worker in draining:
            self._retire(worker, others_serve=False)

    def run(self) -> None:
        """Emit events until the last worker has ended. An exception of a handler is raised."""
        self._attach_loop(None)
        while self._running or self._pending_events:
            self._run_once(0.0 if self._pending_events else self._timeout())
        self._port.close()
        self._port = self._new_port()

    async def wait(self) -> None:
        """`run` within a running asyncio loop."""
        self._attach_loop()
        if self._running or self._pending_events:
            ended = self._loop.create_future()
            self._disconnect_waiters.append((set(self._running), partial(_resolve, ended)))
            await ended
            await self.wait()  # others may have been forked

    # Workers.

    def _new_port(self) -> Port:
        return Port(self._poller, self._candidates)

    def _candidates(self) -> list[WorkerEntry]:
        entries = [worker.entry for worker in self._running.values() if worker.is_connected()]
        return [entry for entry in entries if not entry.draining]

    def _send_to(self, worker: Worker, message: Message) -> None:
        self._poller.send(worker.entry.channel, message)
        self._wake()

    def _disconnect(self, worker: Worker) -> None:
        others = [entry for entry in self._candidates() if entry is not worker.entry]
        if not (others or worker.entry.draining):
            self._port.finish()
            self._port = self._new_port()
        self._retire(worker, others_serve=bool(others))
        self.workers.pop(worker.id, None)

    def _retire(self, worker: Worker, *, others_serve: bool) -> None:
        worker.entry.draining = worker.exited_after_disconnect = True
        self._send_to(worker, StartDrain(NO_LIMIT, others_serve))

    def _on_readable(self, worker: Worker, message: Message, fds: Sequence[int]) -> None:
        entry = worker.entry
        entry.port.on_message(entry, message, fds[0] if fds else None)
        match message:
            case Online():
                self._queue_event("online", worker)
            case ScriptListening(key) if key not in entry.listens:
                entry.listens.add(key)
                if handle := entry.port.handle(key):
                    self._queue_event("listening", worker, _address(handle))
            case ScriptClosed(key):
                entry.listens.discard(key)
            case UserMessage(value):
                self._queue_event("message", worker, value)
            case WorkerQuitting(now=True):
                worker.exited_after_disconnect = True
            case WorkerQuitting():
                self._disconnect(worker)

    def _on_channel_closed(self, worker: Worker, why: str) -> None:
        """The channel of ``worker`` is closed; its process has ended or will."""
        entry = worker.entry
        entry.port.remove_worker(entry)
        entry.channel.close()
        worker.exited_after_disconnect = bool(worker.exited_after_disconnect)
        self._queue_event("disconnect", worker)
        self._pending_events.append(partial(self._disconnected.append, worker))

    def _reap(self) -> None:
        for worker in tuple(self._disconnected):
            status = worker.process.poll()
            if status is None:
                continue
            self._disconnected.remove(worker)
            del self._running[worker.id]
            self.workers.pop(worker.id, None)
            worker.entry.row.clear()
            self._free_rows.append(worker.entry.index)
            name = signal.Signals(-status).name if status < 0 else None
            self._queue_event("exit", worker, None if name else status, name)
            self._check_disconnect_waiters()

    # Events.

    def _queue_event(self, event: str, worker: Worker, *args: Any) -> None:
        if event in worker.events:
            self._pending_events.append(partial(worker.emit, event, *args))
        self._pending_events.append(partial(self.emit, event, worker, *args))
        self._wake()

    def _check_disconnect_waiters(self) -> None:
        for waiter in tuple(self._disconnect_waiters):
            if not waiter[0] & self._running.keys():
                self._disconnect_waiters.remove(waiter)
                self._pending_events.append(waiter[1])

    # The loop.

    def _run_once(self, timeout: float | None) -> None:
        """Wait ``timeout`` seconds at most, run what is due, and emit events."""
        self._poller.wait(timeout)
        self._reap()
        now = monotonic()
        for port in self._ports():
            port.tick(now)
        while self._pending_events:
            self._pending_events.popleft()()

    def _ports(self) -> set[Port]:
        return {self._port, *(worker.entry.port for worker in self._running.values())}

    def _timeout(self) -> float | None:
        times = [port.deadline for port in self._ports()]
        now = monotonic()
        if self._disconnected:
            times.append(now + EXIT_POLL_SECONDS)
        return max(0.0, min((each for each in times if each is not None), default=now) - now)

    def _attach_loop(self, loop: Any = running_loop) -> None:
        """Let ``loop`` drive this from now on; without a loop, `run` does."""
        if loop is running_loop:
            loop = running_loop()
            if loop is None:  # an earlier loop may have ended
                loop = None if self._loop is None or self._loop.is_closed() else self._loop
        if loop is self._loop:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._poller.fileno())
        self._loop, self._timer = loop, None
        if loop is not None:
            loop.add_reader(self._poller.fileno(), self._ready)

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._set_timer(0.0)

    def _set_timer(self, timeout: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if timeout is None else self._loop.call_later(timeout, self._ready)

    def _ready(self) -> None:
        """One iteration within asyncio."""
        try:
            self._run_once(0.0)
        finally:  # a handler may have raised
            self._set_timer(0.0 if self._pending_events else self._timeout())

    # The end.

    def _at_exit(self) -> None:
        """Wait for the workers at the end of the script, as Python does for threads."""
        if self._finished or os.getpid() != self._pid or hasattr(sys, "last_value"):
            return
        self._finished = True
        try:
            self.run()
        except KeyboardInterrupt:
            _run_exit_functions()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(self._pid, signal.SIGINT)
        except SystemExit as error:
            code = error.code
            if not isinstance(code, int | None):
                print(code, file=sys.stderr)
            _run_exit_functions()
            os._exit(code if isinstance(code, int) else int(code is not None))
        except BaseException as error:  # noqa: BLE001 as Python itself ends a program
            sys.excepthook(type(error), error, error.__traceback__)
            _run_exit_functions()
            os._exit(1)

    def _close_in_child(self) -> None:
        """In a forked child: close this process's copies."""
        self._finished = True
        self._poller.close()
        for port in self._ports():
            port.close_in_child()
        for worker in self._running.values():
            worker.entry.channel.close()
        self._running.clear()
        self.workers.clear()


def _initial_settings() -> PrimarySettings | None:
    """Read how this process was started; Python forgets that at the end of the script."""
    exec = this_script(sys.modules["__main__"])
    return as_started(exec) if exec else None


def _run_exit_functions() -> None:
    """Do what Python does at exit, before an os._exit() with a status."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _resolve(future: Any) -> None:
    if not future.done():
        future.set_result(None)


def _address(handle: Any) -> Address:
    import socket

    name, stream = handle.getsockname(), handle.type == socket.SOCK_STREAM
    if handle.family == socket.AF_UNIX:
        return Address(os.fsdecode(name), None, -1)
    version = 4 if handle.family == socket.AF_INET else 6
    return Address(name[0], name[1], version if stream else f"udp{version}")
