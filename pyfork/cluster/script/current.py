"""A worker, as its own script sees it: `pyfork.cluster.worker`.

Events are emitted in the asyncio loop in which the first handler was registered. Without a loop a
thread emits them, since the main thread may block. Events wait until there is a handler.
"""

import os
import sys
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from pyfork.cluster.events import Emitter, running_loop

MAX_PENDING_EVENTS = 10_000  # that wait for a handler


class CurrentWorker(Emitter):
    """This process.

    Args:
        number: ``id``.
        send: sends a message to the primary; returns whether it is connected.
        disconnect: tells the primary that this process ends after its connections, or with True
            now.
        end: ends this process with a status.
        ready: reports this worker as ready.
        is_connected: whether the channel is open.
    """

    events = ("message", "disconnect")

    def __init__(
        self,
        number: int,
        *,
        send: Callable[[Any], bool],
        disconnect: Callable[[bool], None],
        end: Callable[[int], None],
        ready: Callable[[], None],
        is_connected: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.id = number
        self.exited_after_disconnect: bool | None = None
        self.send = send
        self.is_connected = is_connected
        self.report_ready = ready
        self._disconnect = disconnect
        self._end = end
        self._inbox: SimpleQueue[tuple[str, tuple[Any, ...]]] = SimpleQueue()
        self._has_handler = False
        self._loop: Any = None
        self._disconnected = allocate_lock()  # locked until it is disconnected
        self._disconnected.acquire()

    def __repr__(self) -> str:
        return f"<worker {self.id} (pid {self.pid}), this process>"

    @property
    def pid(self) -> int:
        """The process id."""
        return os.getpid()

    def on(self, event: str, handler: Any = None) -> Any:
        """Call ``handler`` at each ``event``; without a handler, return a decorator."""
        result = super().on(event, handler)
        if handler is not None:
            self._attach_loop()
        return result

    def disconnect(self) -> None:
        """Stop accepting, complete open connections, and end."""
        self.exited_after_disconnect = True
        self._disconnect(False)

    def kill(self) -> None:
        """End at once with status 0."""
        self.exited_after_disconnect = True
        self._disconnect(True)
        self._end(0)

    def is_dead(self) -> bool:
        """Return False."""
        return False

    # Called in the thread of the arbiter client.

    def emit_later(self, event: str, *args: Any) -> None:
        """Queue ``event`` for the loop or thread that emits."""
        if self._has_handler or self._inbox.qsize() < MAX_PENDING_EVENTS:
            self._inbox.put((event, args))
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._drain)
        if event == "disconnect":
            self._disconnected.release()

    def wait(self) -> None:
        """At the end of the script: wait while a thread handles messages."""
        if self._has_handler and self._loop is None and self._handlers["message"]:
            self._disconnected.acquire()

    def _attach_loop(self) -> None:
        if self._has_handler:
            return
        self._has_handler, self._loop = True, running_loop()
        if self._loop is None:
            start_new_thread(self._deliver, ())
        else:
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        while True:
            try:
                event, args = self._inbox.get_nowait()
            except Empty:
                return
            self.emit(event, *args)

    def _deliver(self) -> None:
        while True:
            event, args = self._inbox.get()
            try:
                self.emit(event, *args)
            except SystemExit as error:  # as in the main thread
                code = error.code
                self._end(code if isinstance(code, int) else int(code is not None))
            except BaseException as error:  # noqa: BLE001 as of any thread: it is on_message
                sys.excepthook(type(error), error, error.__traceback__)
