"""The poller: one selector for all descriptors of a parent process, and their callbacks.

The poller reads the messages of channels and delivers them whole; it does not interpret them.
"""

import os
import selectors
from collections.abc import Callable, Sequence
from typing import Protocol

from pyfork.ipc.channel import Channel, ChannelClosed
from pyfork.ipc.messages import Message

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

OnReady = Callable[[int], None]
"""Called with READ, WRITE or both."""

OnMessage = Callable[[Message, Sequence[int]], None]
"""Called with a message and its fds, which are closed after the call."""


class HasFileno(Protocol):
    """A file, a socket, or an object that owns one."""

    def fileno(self) -> int: ...


class Poller:
    """All descriptors that a parent process waits for."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def fileno(self) -> int:
        """The fd that is readable when `wait` would not block: for a loop around this one."""
        return self._selector.fileno()  # epoll's or kqueue's

    def wait(self, timeout: float | None) -> None:
        """Wait for at most ``timeout`` seconds, and call the callbacks of ready descriptors."""
        for key, mask in self._selector.select(timeout):
            if self._selector.get_map().get(key.fileobj) is key:  # no callback has removed it
                on_ready: OnReady = key.data
                on_ready(mask)

    def watch(self, source: HasFileno, on_ready: OnReady, *, events: int = READ) -> None:
        """Call ``on_ready`` when ``source`` is ready. A second call replaces the first."""
        if source in self._selector.get_map():
            self._selector.modify(source, events, on_ready)
        else:
            self._selector.register(source, events, on_ready)

    def unwatch(self, source: HasFileno) -> None:
        """Stop waiting for ``source``, if it is watched."""
        if source in self._selector.get_map():
            self._selector.unregister(source)

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()

    # Channels.

    def connect(
        self, channel: Channel, on_message: OnMessage, on_closed: Callable[[str], None]
    ) -> None:
        """Deliver the messages of ``channel``; at its end, call ``on_closed`` with the reason."""

        def on_ready(mask: int) -> None:
            try:
                if mask & WRITE:
                    channel.flush()
                for received in channel.receive():
                    deliver(on_message, received.message, received.fds)
            except ChannelClosed as end:
                self.unwatch(channel)
                on_closed(str(end))
            else:
                if self.is_connected(channel):
                    self.watch(channel, on_ready, events=_events(channel))

        self.watch(channel, on_ready)

    def is_connected(self, channel: Channel) -> bool:
        """Whether messages may still arrive."""
        return channel.fileno() >= 0 and channel in self._selector.get_map()

    def send(self, channel: Channel, message: Message, fds: Sequence[int] = ()) -> None:
        """Send now, or when the buffer has room. Raises OSError: no more fds can be opened."""
        channel.send(message, fds)
        if self.is_connected(channel):
            on_ready: OnReady = self._selector.get_key(channel).data
            self.watch(channel, on_ready, events=_events(channel))


def deliver(on_message: OnMessage, message: Message, fds: Sequence[int]) -> None:
    """Call ``on_message``, and close the fds after it."""
    try:
        on_message(message, fds)
    finally:
        for fd in fds:
            os.close(fd)


def _events(channel: Channel) -> int:
    return READ | (WRITE if channel.pending else 0)
