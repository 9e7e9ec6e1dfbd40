"""The offloader: a thread that hands off the idle connections of a busy worker.

When application code has held the loop's thread for ``--busy-after``, idle connections that become
readable go to the connection queue. The first free worker takes them; this one does so too once
its loop continues. When the heartbeat deadline (``--timeout``) passes, the arbiter is about to kill
the worker: then the client of that request gets 504, and all idle connections go.

The thread inspects the engine, and marks connections as handed off, only while one and the same
request holds the loop's thread (`ApplicationSection`). The loop's thread waits for a running step
before it continues, and drops handed-off connections before any callback runs.

Rules: the thread reads the engine and writes nothing there; it reads no byte of a client.
"""

import logging
import os
import select
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from pyfork.http.connection.application_section import ApplicationSection
from pyfork.ipc.connection_queue import ConnectionQueue
from pyfork.ipc.scoreboard import HELD
from pyfork.worker.offload.heartbeat import HeartbeatCheck
from pyfork.worker.offload.held_time import HeldTime
from pyfork.worker.offload.loop_probe import LoopProbe

if TYPE_CHECKING:
    from pyfork.http.connection.response_writer import ResponseWriter

log = logging.getLogger("pyfork.error")

_CHUNK = 256  # connections per step, for which the loop may have to wait
# Seconds of one request before which nothing is put into the queue while no worker is idle, and
# between two checks of that: where all work all the time, connections would go round for nothing.
_PATIENCE, _SOON = 0.02, 0.002
_RETRY = 0.005  # seconds until the queue may have room again
_NOBODY = 0.1  # seconds until another worker may be there
_LONGEST = 3600.0  # seconds of one wait, at most: poll(2) has a limit
_ALONE = 0.5  # seconds between two checks of a worker without others, for its deadline
# Seconds between two checks of a worker whose requests were all quick.
_QUICK, _ALERT = 0.01, 60.0
# Seconds for which application code may keep the interpreter from this thread, as CPython's switch
# interval; each system call of this thread may cost it once.
_SWITCH = 0.001


class Movable(Protocol):
    """A connection, or an accepted client without a connection yet."""

    def fileno(self) -> int: ...
    @property
    def can_hand_off(self) -> bool: ...
    @property
    def kept(self) -> bool:
        """Whether requests were answered on it."""

    def finish_handoff(self) -> None:
        """Close this copy of the socket; another worker has the connection."""


class Offloader:
    """The offloader of one worker."""

    def __init__(
        self,
        section: ApplicationSection,
        queue: ConnectionQueue,
        *,
        busy_after: float,
        idle: Callable[[], Iterable[Movable]],
        served: Callable[[], int],
        cells: "memoryview[int]",
        has_takers: Callable[[], bool],
        others_idle: Callable[[], bool],
        given: Callable[[], None],
        deadline: Callable[[], float],
        probe: LoopProbe | None,
        tls: bool,
    ) -> None:
        """``busy_after`` is in seconds of one request.

        Args:
            idle: returns the worker's connections; called in the thread.
            served: returns how many requests the worker has answered.
            cells: of its scoreboard row, which shows that the loop is held.
            has_takers: returns whether another worker takes connections out of the queue.
            others_idle: returns whether one of those has no request.
            given: called in the loop's thread after connections were handed off.
            deadline: returns the heartbeat deadline in monotonic seconds; 0 without one.
            probe: samples the loop between requests, if their tasks have later steps.
            tls: whether the worker's listeners speak TLS.
        """
        self._section = section
        self._queue = queue
        self._busy_after = busy_after
        self._idle = idle
        self._served = served
        self._cells = cells
        self._has_takers = has_takers
        self._others_idle = others_idle
        self._on_given = given
        self._deadline = deadline
        self._probe = probe
        self._held = HeldTime()
        self._tls = tls
        self._lock = threading.Lock()  # held during a step of the thread
        self._given: list[Movable] = []  # this worker's copies are still open
        self._refused: ResponseWriter | None = None  # the last that got 504
        self._loop_thread = threading.get_ident()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()  # held while the thread is started or ended
        self._wanted = False  # a thread should run
        self._forks = 0  # running forks
        self._begun = False
        self._stopping = False
        self._wake_in, self._wake_out = -1, -1
        section.asleep = True  # the first request wakes it
        section.settle = self._settle
        section.wake = self._wake

    # In the loop's thread, or in one that forks.

    def stop(self) -> None:
        """End the thread and wait for its end; it is not started again."""
        self._begun = True
        with self._starting:
            self._wanted = False
            self._end_thread()

    def check(self) -> None:
        """If there is no thread yet, let the next request decide about one. Called once a
        second."""
        if not self._begun:
            self._section.asleep = True

    def _settle(self) -> None:
        """After a request, wait for a running step and drop connections that were handed off."""
        with self._lock:
            self._section.watched = False
            self._cells[HELD] = 0
            given, self._given = self._given, []
            self._refused = None
        for connection in given:
            connection.finish_handoff()
        self._notify()
        if given:
            self._on_given()

    def _begin(self) -> None:
        """Start the thread at the first request that it may be needed for."""
        self._begun = True
        self._wake_out, self._wake_in = os.pipe()
        for fd in (self._wake_out, self._wake_in):
            os.set_blocking(fd, False)
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_fork,
            after_in_child=self._in_child,
        )
        with self._starting:
            self._wanted = True
            self._start_thread()

    def _wake(self) -> None:
        """Wake the thread, or start it, at the beginning of a request."""
        self._section.asleep = False
        if self._begun:
            self._notify()
        elif self._has_takers() or self._deadline():
            self._begin()

    def _notify(self) -> None:
        with suppress(BlockingIOError):  # it has enough wake-ups
            os.write(self._wake_in, b".")

    def _start_thread(self) -> None:
        self._stopping = False
        thread = threading.Thread(target=self._run, name="pyfork_offload", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no thread is available: continue without one
            log.debug("no thread to offload connections: %s", error)
        else:
            self._thread = thread

    def _end_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping = True
            self._notify()
            thread.join()
            _wait_for_end(thread.native_id)

    # A process must not be forked while this thread runs.

    def _before_fork(self) -> None:
        with self._starting:
            self._forks += 1
            self._end_thread()

    def _after_fork(self) -> None:
        with self._starting:
            self._forks -= 1
            if self._wanted and not self._forks:
                self._start_thread()

    def _in_child(self) -> None:
        """Reset in a forked child, which is no worker."""
        self._section.settle = self._section.wake = lambda: None
        self._starting = threading.Lock()
        self._wanted = False

    # In the thread.

    def _run(self) -> None:
        try:
            self._watch()
        except Exception:
            log.exception("connections of a busy worker are not given away any more")
        finally:
            self._section.asleep = False

    def _watch(self) -> None:
        """Wait for requests that take long."""
        section, poll = self._section, select.poll()
        poll.register(self._wake_out, select.POLLIN)
        served, until = -1, 0.0
        while not self._stopping:
            quick = _QUICK if self._has_takers() else _ALONE
            running = section.running
            if running is not None:
                now = monotonic()
                left = self._busy_after - self._held.held(running.started, now)
                if left <= 0:
                    self._offload(running)
                    until = now + _ALERT
                else:
                    self._sleep(poll, left if now < until else max(left, quick))
                del running
                continue
            self._held.sample()
            before, served = served, self._served()
            pause = self._probe.check(progress=served != before) if self._probe else None
            if served != before:
                self._sleep(poll, self._busy_after if monotonic() < until else quick)
                continue
            section.asleep = True  # the next request wakes this thread
            if section.running is None and not self._stopping:
                self._sleep(poll, pause)
            section.asleep = False

    def _sleep(self, poll: "select.poll", seconds: float | None) -> None:
        """Wait for a wake-up, for ``seconds`` at most."""
        if poll.poll(None if seconds is None else seconds * 1000):
            self._clear()

    def _clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_out, 4096)

    def _offload(self, running: "ResponseWriter") -> None:
        """Hand off connections that become readable while ``running`` holds the loop's thread."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(min(usual, _SWITCH))
        try:
            self._offload_readable(running)
        finally:
            if sys.getswitchinterval() == min(usual, _SWITCH):  # else it is the application's own
                sys.setswitchinterval(usual)

    def _offload_readable(self, running: "ResponseWriter") -> None:
        only_wake, poll = select.poll(), select.poll()
        for each_poll in (only_wake, poll):
            each_poll.register(self._wake_out, select.POLLIN)
        watched: dict[int, Movable] = {}
        with self._step(running) as held:
            if held:
                self._cells[HELD] = 1
        for fd, connection in self._idle_sockets(running):
            watched[fd] = connection
            poll.register(fd, select.POLLIN)
        heartbeat = HeartbeatCheck(self._deadline)
        while self._section.running is running and not self._stopping:
            left = heartbeat.time_left(monotonic())
            if not left:
                self._refuse(running)
            if not self._has_takers():
                self._sleep(only_wake, min(left, _NOBODY) or _NOBODY)
                continue
            ready = list(watched)
            if left:
                ready = [fd for fd, _ in poll.poll(min(left, _LONGEST) * 1000) if fd in watched]
                self._clear()
            elif not ready:
                self._sleep(only_wake, _NOBODY)
            if monotonic() - running.started < _PATIENCE and not self._others_idle():
                self._sleep(only_wake, _SOON)
                continue
            if not self._give(running, ready, watched, poll):
                self._sleep(only_wake, _RETRY)

    def _refuse(self, running: "ResponseWriter") -> None:
        """Answer the request for which the arbiter is about to kill this worker; once."""
        with self._step(running) as held:
            if held and self._refused is not running:
                self._refused = running
                running.refuse_hung(monotonic() - running.started, self._loop_thread)

    def _idle_sockets(self, running: "ResponseWriter") -> Iterator[tuple[int, Movable]]:
        """Return the sockets of idle connections that another worker could serve."""
        own = running.connection  # its application may be changing it
        with self._step(running) as held:
            everything = iter(list(self._idle()) if held else ())
        while True:
            with self._step(running) as held:
                chunk = list(islice(everything, _CHUNK)) if held else []
                given = {each.fileno() for each in self._given}
                found = [
                    (each.fileno(), each)
                    for each in chunk
                    if each is not own and each.can_hand_off and each.fileno() not in given
                ]
            yield from found
            if not chunk:
                return

    def _give(
        self,
        running: "ResponseWriter",
        ready: list[int],
        watched: dict[int, Movable],
        poll: "select.poll",
    ) -> bool:
        """Put them into the queue. Returns whether it had room for all."""
        for fd in ready:
            with self._step(running) as held:
                if not held:
                    return True
                connection = watched[fd]
                if not self._queue.put(fd, kept=connection.kept, tls=self._tls):
                    return False
                self._given.append(connection)
            del watched[fd]
            poll.unregister(fd)
        return True

    def _step(self, running: "ResponseWriter") -> "_Step":
        return _Step(self._lock, self._section, running)


class _Step:
    """A context manager; while its value is true, the loop's thread cannot continue after
    ``running``."""

    def __init__(
        self, lock: threading.Lock, section: ApplicationSection, running: "ResponseWriter"
    ) -> None:
        self._lock = lock
        self._section = section
        self._running = running

    def __enter__(self) -> bool:
        self._lock.acquire()
        self._section.watched = True
        return self._section.running is self._running

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _wait_for_end(thread: int | None) -> None:
    """Wait until the kernel has ended the thread; Python may report that earlier."""
    path = f"/proc/self/task/{thread}"
    until = monotonic() + 0.1
    while os.path.exists(path) and monotonic() < until:
        os.sched_yield()
