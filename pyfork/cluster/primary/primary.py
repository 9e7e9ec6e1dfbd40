"""The primary of a program that forks its own workers, as Node's cluster does.

No supervisor: a worker that dies is not replaced, unless the program does so. What it takes from
the arbiter's house is what a worker's sockets need: channels, handles, round-robin.

One loop, without threads of its own: in `run`, at the program's end, or inside of the asyncio loop
that forks. Something happens, it becomes an event, and events are told one after the other, never
in the middle of a call of the program's.

Rules: reads no client byte; one thread, that of whoever forks.
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
from pyfork.cluster.sockets.accept_manager import refusal
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

LINES = 512  # workers at a time
FOREVER = 1e9  # seconds: like Node, a worker may take as long as its clients do
LOOK = 0.01  # seconds between two looks whether a process that has gone silent has ended


class Primary(Emitter):
    """The one primary of this process.

    Args:
        workers: those that are connected, by id; filled here.
    """

    events = ("setup", "fork", "online", "listening", "message", "disconnect", "exit")

    def __init__(self, workers: dict[int, Worker]) -> None:
        super().__init__()
        self.workers = workers
        self.settings = _as_started()
        self._pid = os.getpid()
        self._wires = Poller()
        self._board = Scoreboard(LINES)
        self._free_lines = list(range(LINES - 1, -1, -1))
        self._crew: dict[int, Worker] = {}  # those that have not ended
        self._disconnected: list[Worker] = []  # disconnected, which was told, and not seen to end
        self._number = 0
        self._port = self._new_port()
        self._pending_events: deque[Callable[[], object]] = deque()
        self._disconnect_waiters: list[tuple[set[int], Callable[[], object]]] = []
        self._loop: Any = None  # asyncio's, if it is what drives this
        self._timer: Any = None
        self._over = False
        atexit.register(self._at_exit)
        os.register_at_fork(after_in_child=self._disown)

    # What the program asks for.

    def set_up(self, **given: Any) -> None:
        """Start the workers to come by the settings ``given``. Raises ValueError."""
        before = self.settings or (given["exec"] and as_started(given["exec"]))
        if not before:
            raise ValueError("no script runs here: say exec='server.py'")
        self.settings = changed(before, **given)
        self._tell_settings(self.settings)

    def _tell_settings(self, settings: PrimarySettings) -> None:
        self._pending_events.append(partial(self.emit, "setup", settings))
        self._wake()

    def fork(self, dispatch: str, env: dict[str, str]) -> Worker:
        """Start a worker. Raises OSError, ValueError."""
        if why := refusal(for_program(dispatch)):
            raise ValueError(why)
        if (how := self.settings) is None:
            raise ValueError("no script runs here: say setup_primary(exec='server.py')")
        if not self._free_lines:
            raise OSError(f"{LINES} workers are as many as there can be")
        self._attach_loop()
        self._number += 1
        ours, theirs = pair()
        index = self._free_lines.pop()
        self._board.mark_used(index)
        start = SpawnArgs(
            number=self._number,
            channel=theirs.fileno(),
            board=self._board.fd,
            lines=LINES,
            index=index,
            dispatch=dispatch,
        )
        self._tell_settings(how)
        try:
            process = spawn(how, start, env)
        except BaseException:
            ours.close()
            self._free_lines.append(index)
            raise
        finally:
            theirs.close()
        line = self._board.line(index)
        seat = WorkerEntry(
            worker=self._number, channel=ours, line=line, index=index, port=self._port
        )
        worker = Worker(seat, process, say=self._say, part=self._part)
        self.workers[worker.id] = self._crew[worker.id] = worker
        self._wires.connect(
            ours, partial(self._on_readable, worker), partial(self._silence, worker)
        )
        self._tell("fork", worker)
        return worker

    def disconnect(self, then: Callable[[], object] | None) -> None:
        """Have all workers leave, and call ``then`` when they have."""
        leaving = [worker for worker in self._crew.values() if worker.is_connected()]
        if then:
            self._disconnect_waiters.append(({worker.id for worker in leaving}, then))
            self._check_partings()
        if leaving:
            self._port.finish()
            self._port = self._new_port()
        for worker in leaving:
            self._retire(worker, others_serve=False)

    def run(self) -> None:
        """Tell what happens, until the last worker has ended. What a handler raises is raised."""
        self._attach_loop(None)
        while self._crew or self._pending_events:
            self._turn(0.0 if self._pending_events else self._patience())
        self._port.close()
        self._port = self._new_port()

    async def wait(self) -> None:
        """The same in a loop that runs: until the last worker has ended."""
        self._attach_loop()
        if self._crew or self._pending_events:
            ended = self._loop.create_future()
            self._disconnect_waiters.append((set(self._crew), partial(_settle, ended)))
            await ended
            await self.wait()  # others may have been forked

    # Workers.

    def _new_port(self) -> Port:
        return Port(self._wires, self._takers)

    def _takers(self) -> list[WorkerEntry]:
        seats = [worker.seat for worker in self._crew.values() if worker.is_connected()]
        return [seat for seat in seats if not seat.leaving]

    def _say(self, worker: Worker, message: Message) -> None:
        self._wires.send(worker.seat.channel, message)
        self._wake()

    def _part(self, worker: Worker) -> None:
        others = [seat for seat in self._takers() if seat is not worker.seat]
        if not (others or worker.seat.leaving):
            self._port.finish()
            self._port = self._new_port()
        self._retire(worker, others_serve=bool(others))
        self.workers.pop(worker.id, None)

    def _retire(self, worker: Worker, *, others_serve: bool) -> None:
        worker.seat.leaving = worker.exited_after_disconnect = True
        self._say(worker, StartDrain(FOREVER, others_serve))

    def _on_readable(self, worker: Worker, message: Message, fds: Sequence[int]) -> None:
        seat = worker.seat
        seat.port.on_message(seat, message, fds[0] if fds else None)
        match message:
            case Online():
                self._tell("online", worker)
            case ScriptListening(key) if key not in seat.listens:
                seat.listens.add(key)
                if handle := seat.port.handle(key):
                    self._tell("listening", worker, _address(handle))
            case ScriptClosed(key):
                seat.listens.discard(key)
            case UserMessage(value):
                self._tell("message", worker, value)
            case WorkerQuitting(now=True):
                worker.exited_after_disconnect = True
            case WorkerQuitting():
                self._part(worker)

    def _silence(self, worker: Worker, why: str) -> None:
        """Its channel has ended, and so has the process, or will."""
        seat = worker.seat
        seat.port.remove_worker(seat)
        seat.channel.close()
        worker.exited_after_disconnect = bool(worker.exited_after_disconnect)
        self._tell("disconnect", worker)
        self._pending_events.append(partial(self._disconnected.append, worker))

    def _reap(self) -> None:
        for worker in tuple(self._disconnected):
            status = worker.process.poll()
            if status is None:
                continue
            self._disconnected.remove(worker)
            del self._crew[worker.id]
            self.workers.pop(worker.id, None)
            worker.seat.line.clear()
            self._free_lines.append(worker.seat.index)
            name = signal.Signals(-status).name if status < 0 else None
            self._tell("exit", worker, None if name else status, name)
            self._check_partings()

    # Events.

    def _tell(self, event: str, worker: Worker, *args: Any) -> None:
        if event in worker.events:
            self._pending_events.append(partial(worker.emit, event, *args))
        self._pending_events.append(partial(self.emit, event, worker, *args))
        self._wake()

    def _check_partings(self) -> None:
        for parting in tuple(self._disconnect_waiters):
            if not parting[0] & self._crew.keys():
                self._disconnect_waiters.remove(parting)
                self._pending_events.append(parting[1])

    # The loop.

    def _turn(self, patience: float | None) -> None:
        """Wait, at most ``patience`` seconds; act, and tell."""
        self._wires.wait(patience)
        self._reap()
        now = monotonic()
        for port in self._ports():
            port.tick(now)
        while self._pending_events:
            self._pending_events.popleft()()

    def _ports(self) -> set[Port]:
        return {self._port, *(worker.seat.port for worker in self._crew.values())}

    def _patience(self) -> float | None:
        times = [port.deadline for port in self._ports()]
        now = monotonic()
        if self._disconnected:
            times.append(now + LOOK)
        return max(0.0, min((each for each in times if each is not None), default=now) - now)

    def _attach_loop(self, loop: Any = running_loop) -> None:
        """Who drives this from now on: the loop that runs here, or `run`."""
        if loop is running_loop:
            loop = running_loop()
            if loop is None:  # a loop that forked before may have ended
                loop = None if self._loop is None or self._loop.is_closed() else self._loop
        if loop is self._loop:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._wires.fileno())
        self._loop, self._timer = loop, None
        if loop is not None:
            loop.add_reader(self._wires.fileno(), self._ready)

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._set_timer(0.0)

    def _set_timer(self, patience: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if patience is None else self._loop.call_later(patience, self._ready)

    def _ready(self) -> None:
        """A turn of asyncio's."""
        try:
            self._turn(0.0)
        finally:  # a handler may have raised
            self._set_timer(0.0 if self._pending_events else self._patience())

    # The end.

    def _at_exit(self) -> None:
        """The script has ended; its workers are like threads, for which Python waits too."""
        if self._over or os.getpid() != self._pid or hasattr(sys, "last_value"):
            return
        self._over = True
        try:
            self.run()
        except KeyboardInterrupt:
            _finish()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(self._pid, signal.SIGINT)
        except SystemExit as error:
            code = error.code
            if not isinstance(code, int | None):
                print(code, file=sys.stderr)
            _finish()
            os._exit(code if isinstance(code, int) else int(code is not None))
        except BaseException as error:  # noqa: BLE001 as Python itself ends a program
            sys.excepthook(type(error), error, error.__traceback__)
            _finish()
            os._exit(1)

    def _disown(self) -> None:
        """In a child of the program's: nothing of this is its own."""
        self._over = True
        self._wires.close()
        for port in self._ports():
            port.close_in_child()
        for worker in self._crew.values():
            worker.seat.channel.close()
        self._crew.clear()
        self.workers.clear()


def _as_started() -> PrimarySettings | None:
    """Now, since Python forgets what the script was when that has ended."""
    exec = this_script(sys.modules["__main__"])
    return as_started(exec) if exec else None


def _finish() -> None:
    """What Python would do yet, if it could be told the status."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _settle(future: Any) -> None:
    if not future.done():
        future.set_result(None)


def _address(handle: Any) -> Address:
    import socket

    name, stream = handle.getsockname(), handle.type == socket.SOCK_STREAM
    if handle.family == socket.AF_UNIX:
        return Address(os.fsdecode(name), None, -1)
    version = 4 if handle.family == socket.AF_INET else 6
    return Address(name[0], name[1], version if stream else f"udp{version}")
