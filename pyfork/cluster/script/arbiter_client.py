"""The worker's end of the channel, while the main thread is the script's.

One thread reads; any thread may ask, and waits for its answer. Processes that the script has
started ask too, see `door`. The primitives are taken when this
module is imported, before the script: gevent may replace those of the same name later.

Rules: the thread runs nothing of the script's.
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

Told = Callable[[Message | None, Sequence[int]], None]
"""Called with what the arbiter says, and fds that are closed afterwards; with None when it is
gone."""


Answered = Callable[[Message | None, Sequence[int]], None]
"""Called in the link's thread with an answer, and fds that are closed afterwards; or with None."""


class ArbiterGone(OSError):
    """Nobody is there to answer."""


class Questions(Protocol):
    """Where questions of other processes come in."""

    def fileno(self) -> int: ...

    def hear(self) -> None:
        """Take one; it is there."""


@entity
class _PendingCall:
    """Somebody waits; ``done`` is locked until then. Or another process does."""

    done: LockType = field(default_factory=allocate_lock)
    answer: Message | None = None
    fds: tuple[int, ...] = ()
    reply: Answered | None = None  # to that process


class ArbiterClient:
    """Speaks with the arbiter, from any thread."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = allocate_lock()  # of all below, and of the channel
        self._questions: dict[int, _PendingCall] = {}
        self._number = 0
        self.gone = False  # nobody is there any more, or the channel is another process's

    def listen(
        self, told: Told, *, tick: Callable[[], float | None], door: Questions | None = None
    ) -> None:
        """Start the thread. ``tick`` is called at each turn; how long to wait for the next one."""
        start_new_thread(self._listen, (told, tick, door))

    def send(self, message: Message) -> None:
        """Tell the arbiter."""
        with self._lock:
            self._send(message, ())

    def call(
        self, question: Callable[[int], Message], fds: Sequence[int] = ()
    ) -> tuple[Message, tuple[int, ...]]:
        """Send the message that ``question`` makes of a number, and wait for the answer.

        The caller owns the fds that came with it. Raises ArbiterGone.
        """
        asked = _PendingCall()
        asked.done.acquire()
        with self._lock:
            self._number += 1
            number = self._number
            self._questions[number] = asked
            self._send(question(number), fds)
            if self.gone:
                asked.done.release()
        try:
            asked.done.acquire()  # a signal handler may raise here
        except BaseException:
            with self._lock:
                self._questions.pop(number, None)
            _close(asked.fds)
            raise
        if asked.answer is None:
            raise ArbiterGone("the arbiter is gone")
        return asked.answer, asked.fds

    def pass_on(
        self, question: Callable[[int], Message], fds: Sequence[int], reply: Answered
    ) -> None:
        """Ask for another process, and do not wait: ``reply`` has the answer."""
        with self._lock:
            self._number += 1
            self._questions[self._number] = _PendingCall(reply=reply)
            self._send(question(self._number), fds)

    def close_in_child(self) -> None:
        """In a child of the script's: the channel is not its own."""
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

    def _listen(self, told: Told, tick: Callable[[], float | None], door: Questions | None) -> None:
        readable = poll()
        readable.register(self._channel.fileno(), POLLIN)
        if door is not None:
            readable.register(door.fileno(), POLLIN)
        while not self.gone:
            patience = tick()
            ready = readable.poll(None if patience is None else max(0, round(patience * 1000)))
            if door is not None and (door.fileno(), POLLIN) in ready:
                door.hear()
            try:
                with self._lock:
                    received = self._channel.receive()
            except ChannelClosed:
                break
            for each in received:
                if not self._settle(each.message, each.fds):
                    told(each.message, each.fds)
                    _close(each.fds)
        self._end()
        told(None, ())

    def _settle(self, message: Message, fds: tuple[int, ...]) -> bool:
        """Whether it is an answer."""
        if not isinstance(message, ServerHandle | FileAnswer):
            return False
        with self._lock:
            asked = self._questions.pop(message.number, None)
        if asked is None:  # whoever asked was interrupted
            _close(fds)
        elif asked.reply is not None:
            asked.reply(message, fds)
            _close(fds)
        else:
            asked.answer, asked.fds = message, fds
            asked.done.release()
        return True

    def _end(self) -> None:
        with self._lock:
            self.gone = True
            waiting, self._questions = self._questions, {}
        for asked in waiting.values():
            if asked.reply is not None:
                asked.reply(None, ())
            else:
                asked.done.release()


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
