"""The worker's end of the channel; the main thread belongs to the script.

One thread reads. Any thread may call the arbiter and wait for the answer. Child processes call by
`relay`. Locks and poll are imported before the script runs: gevent may patch these names later.

Rules: the reading thread runs no code of the script.
"""

import contextlib
import os
from _thread import LockType, allocate_lock, start_new_thread
from collections.abc import Callable, Sequence
from select import POLLIN, POLLOUT, poll
from typing import Protocol

from pyfork.ipc.channel import Channel, ChannelClosed
from pyfork.ipc.messages import FileAnswer, Message, ServerHandle
from pyfork.record import entity, field

OnMessage = Callable[[Message | None, Sequence[int]], None]
"""Called with each message and its descriptors, which are closed afterwards; None: the channel is
closed.
"""


OnAnswer = Callable[[Message | None, Sequence[int]], None]
"""Called in the reading thread with an answer and its descriptors, which are closed afterwards; or
with None.
"""


class ArbiterGone(OSError):
    """The arbiter cannot answer: its channel is closed."""


class CallSource(Protocol):
    """A source of calls by other processes."""

    def fileno(self) -> int: ...

    def on_readable(self) -> None:
        """Take one call."""


@entity
class _PendingCall:
    """A call without an answer: of a thread, which waits for ``done``, or of another process."""

    done: LockType = field(default_factory=allocate_lock)
    answer: Message | None = None
    fds: tuple[int, ...] = ()
    reply: OnAnswer | None = None  # for another process


class ArbiterClient:
    """Calls the arbiter from any thread."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = allocate_lock()  # guards everything below and the channel
        self._calls: dict[int, _PendingCall] = {}
        self._last_number = 0
        self.gone = False  # the channel is closed, or belongs to another process

    def listen(
        self,
        on_message: OnMessage,
        *,
        tick: Callable[[], float | None],
        relay: CallSource | None = None,
    ) -> None:
        """Start the reading thread.

        ``tick`` is called in each iteration, and returns the seconds to wait at most.
        """
        start_new_thread(self._listen, (on_message, tick, relay))

    def send(self, message: Message) -> None:
        """Send ``message``; no answer is expected."""
        with self._lock:
            self._send(message, ())

    def call(
        self, request: Callable[[int], Message], fds: Sequence[int] = ()
    ) -> tuple[Message, tuple[int, ...]]:
        """Send the message that ``request`` makes of a number, and wait for its answer.

        The caller owns the descriptors of the answer. Raises ArbiterGone.
        """
        call = _PendingCall()
        call.done.acquire()
        with self._lock:
            self._last_number += 1
            number = self._last_number
            self._calls[number] = call
            self._send(request(number), fds)
            if self.gone:
                call.done.release()
        try:
            call.done.acquire()  # a signal handler may raise here
        except BaseException:
            with self._lock:
                self._calls.pop(number, None)
            _close(call.fds)
            raise
        if call.answer is None:
            raise ArbiterGone("the arbiter is gone")
        return call.answer, call.fds

    def pass_on(
        self, request: Callable[[int], Message], fds: Sequence[int], reply: OnAnswer
    ) -> None:
        """Send a request of another process and return; ``reply`` gets the answer."""
        with self._lock:
            self._last_number += 1
            self._calls[self._last_number] = _PendingCall(reply=reply)
            self._send(request(self._last_number), fds)

    def close_in_child(self) -> None:
        """In a child of the script: close this copy of the channel."""
        self.gone = True
        self._lock = allocate_lock()
        self._channel.close()

    def _send(self, message: Message, fds: Sequence[int]) -> None:
        if self.gone:
            return
        self._channel.send(message, fds)
        while self._channel.pending:
            room = poll()
            room.register(self._channel.fileno(), POLLOUT)
            room.poll()
            self._channel.flush()

    def _listen(
        self, on_message: OnMessage, tick: Callable[[], float | None], relay: CallSource | None
    ) -> None:
        readable = poll()
        readable.register(self._channel.fileno(), POLLIN)
        if relay is not None:
            readable.register(relay.fileno(), POLLIN)
        while not self.gone:
            timeout = tick()
            ready = readable.poll(None if timeout is None else max(0, round(timeout * 1000)))
            if relay is not None and (relay.fileno(), POLLIN) in ready:
                relay.on_readable()
            try:
                with self._lock:
                    received = self._channel.receive()
            except ChannelClosed:
                break
            for item in received:
                if not self._resolve(item.message, item.fds):
                    on_message(item.message, item.fds)
                    _close(item.fds)
        self._end()
        on_message(None, ())

    def _resolve(self, message: Message, fds: tuple[int, ...]) -> bool:
        """Complete the call that ``message`` answers. Returns False if it is no answer."""
        if not isinstance(message, ServerHandle | FileAnswer):
            return False
        with self._lock:
            call = self._calls.pop(message.number, None)
        if call is None:  # the caller was interrupted
            _close(fds)
        elif call.reply is not None:
            call.reply(message, fds)
            _close(fds)
        else:
            call.answer, call.fds = message, fds
            call.done.release()
        return True

    def _end(self) -> None:
        with self._lock:
            self.gone = True
            waiting, self._calls = self._calls, {}
        for call in waiting.values():
            if call.reply is not None:
                call.reply(None, ())
            else:
                call.done.release()


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
