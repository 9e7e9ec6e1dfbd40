"""The wires: every fd that a parent waits for, and who is told when it speaks.

One selector, one wait. A channel's messages are read here and handed on whole; what they mean is
the business of whoever connected the channel.
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
    """Something that the system can wait for."""

    def fileno(self) -> int: ...


class Poller:
    """Everything that a parent hears from."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def fileno(self) -> int:
        """What is readable when `wait` has something to tell: for a loop around this one."""
        return self._selector.fileno()  # epoll's or kqueue's

    def wait(self, patience: float | None) -> None:
        """Wait, at most ``patience`` seconds, and tell whoever is concerned."""
        for key, mask in self._selector.select(patience):
            if self._selector.get_map().get(key.fileobj) is key:  # nobody before took it away
                called: OnReady = key.data
                called(mask)

    def watch(self, source: HasFileno, called: OnReady, *, events: int = READ) -> None:
        """Call ``called`` when ``source`` is ready; again for the same one, to change that."""
        if source in self._selector.get_map():
            self._selector.modify(source, events, called)
        else:
            self._selector.register(source, events, called)

    def unwatch(self, source: HasFileno) -> None:
        """Wait for ``source`` no more; nothing happens if nobody did."""
        if source in self._selector.get_map():
            self._selector.unregister(source)

    def close(self) -> None:
        """Wait for nothing more."""
        self._selector.close()

    # Channels.

    def connect(self, channel: Channel, heard: OnMessage, closed: Callable[[str], None]) -> None:
        """Hand on what is said on ``channel``, and, once, why nothing more will be."""

        def called(mask: int) -> None:
            try:
                if mask & WRITE:
                    channel.flush()
                for received in channel.receive():
                    deliver(heard, received.message, received.fds)
            except ChannelClosed as end:
                self.unwatch(channel)
                closed(str(end))
            else:
                if self.is_connected(channel):
                    self.watch(channel, called, events=_events(channel))

        self.watch(channel, called)

    def is_connected(self, channel: Channel) -> bool:
        """Whether anything may still come."""
        return channel.fileno() >= 0 and channel in self._selector.get_map()

    def send(self, channel: Channel, message: Message, fds: Sequence[int] = ()) -> None:
        """Send now, or as soon as there is room. Raises OSError for want of fds."""
        channel.send(message, fds)
        if self.is_connected(channel):
            called: OnReady = self._selector.get_key(channel).data
            self.watch(channel, called, events=_events(channel))


def deliver(heard: OnMessage, message: Message, fds: Sequence[int]) -> None:
    """Tell ``heard``; whoever the fds are for has copies then."""
    try:
        heard(message, fds)
    finally:
        for fd in fds:
            os.close(fd)


def _events(channel: Channel) -> int:
    return READ | (WRITE if channel.pending else 0)
