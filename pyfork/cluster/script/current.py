"""A worker, as its own script sees it: `pyfork.cluster.worker`.

Events come in the asyncio loop in which the first handler was registered; in a script without one,
in a thread of this module's, so that the script's own may wait for whatever it likes. What comes
before there is a handler waits for it.
"""

import os
import sys
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from pyfork.cluster.events import Emitter, running_loop

MOST = 10_000  # events that wait for a handler


class CurrentWorker(Emitter):
    """This process.

    Args:
        number: ``id``.
        send: sends a message to the primary; whether anybody gets it.
        part: tells the primary that this process leaves, now or when that says so.
        end: ends this process, with a status.
        is_connected: whether the primary is there.
    """

    events = ("message", "disconnect")

    def __init__(
        self,
        number: int,
        *,
        send: Callable[[Any], bool],
        part: Callable[[bool], None],
        end: Callable[[int], None],
        is_connected: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.id = number
        self.exited_after_disconnect: bool | None = None
        self.send = send
        self.is_connected = is_connected
        self._part = part
        self._end = end
        self._inbox: SimpleQueue[tuple[str, tuple[Any, ...]]] = SimpleQueue()
        self._attended = False
        self._loop: Any = None
        self._gone = allocate_lock()  # locked until it is disconnected
        self._gone.acquire()

    def __repr__(self) -> str:
        return f"<worker {self.id} (pid {self.pid}), this process>"

    @property
    def pid(self) -> int:
        """Its process id."""
        return os.getpid()

    def on(self, event: str, handler: Any = None) -> Any:
        """Call ``handler`` whenever ``event`` happens; without one, a decorator."""
        result = super().on(event, handler)
        if handler is not None:
            self._attach_loop()
        return result

    def disconnect(self) -> None:
        """Accept no more, answer what was accepted, and end."""
        self.exited_after_disconnect = True
        self._part(False)

    def kill(self) -> None:
        """End now, with status 0."""
        self.exited_after_disconnect = True
        self._part(True)
        self._end(0)

    def is_dead(self) -> bool:
        """It is not."""
        return False

    # Events from the link's thread.

    def emit_later(self, event: str, *args: Any) -> None:
        """It happens; handlers hear it where they are to."""
        if self._attended or self._inbox.qsize() < MOST:
            self._inbox.put((event, args))
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._drain)
        if event == "disconnect":
            self._gone.release()

    def wait(self) -> None:
        """At the end of the script: while a handler in a thread waits for messages."""
        if self._attended and self._loop is None and self._handlers["message"]:
            self._gone.acquire()

    def _attach_loop(self) -> None:
        if self._attended:
            return
        self._attended, self._loop = True, running_loop()
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
            except SystemExit as error:  # as it would be in the main thread
                code = error.code
                self._end(code if isinstance(code, int) else int(code is not None))
            except BaseException as error:  # noqa: BLE001 as of any thread: it is told
                sys.excepthook(type(error), error, error.__traceback__)
