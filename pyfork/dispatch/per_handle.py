"""``round-robin`` for scripts: a `RoundRobin` for each handle, as Node has one.

A script says where it listens when it does, and gets a tray then; under its descriptor there is
one for each of its listeners.
"""

import os
import socket
from collections.abc import Callable, Iterable
from functools import partial

from pyfork.dispatch.handles import PREFIX, Handles
from pyfork.dispatch.round_robin import RoundRobin, Taker
from pyfork.ipc.fd_queue import Tray
from pyfork.ipc.messages import Mind
from pyfork.ipc.poller import Wires

NAP = 1.0  # seconds; nothing else than that it accepts tells that a script is awake


class Rounds:
    """Every handle's.

    Args:
        takers: workers that serve.
    """

    def __init__(
        self, wires: Wires, handles: Handles, takers: Callable[[], Iterable[Taker]]
    ) -> None:
        self._wires = wires
        self._handles = handles
        self._takers = takers
        self._rounds: dict[str, RoundRobin] = {}
        self._finished = False

    @property
    def holding(self) -> bool:
        """Whether connections are in the arbiter's hand alone."""
        return any(each.holding for each in self._rounds.values())

    @property
    def deadline(self) -> float | None:
        """When to `act` if nothing happens before."""
        times = [each.deadline for each in self._rounds.values()]
        return min((each for each in times if each is not None), default=None)

    def disown(self) -> None:
        """Close what a forked child has of it."""
        for each in self._rounds.values():
            each.disown()

    def seat(self, member: Taker, key: str) -> None:
        """A worker listens, and is to have its turn."""
        if key in member.trays:
            return
        for handle in self._listeners_of(key):  # whatever the script did to it before
            os.set_blocking(handle.fileno(), False)
        member.trays[key] = tray = Tray.make()
        self._round(key).join(member)
        self._wires.send(member.channel, Mind([f"tray of {key}"]), [tray.theirs.fileno()])

    def join(self, member: Taker) -> None:
        """A worker has lived through an exec."""
        for key in member.trays:
            if key.startswith(PREFIX):
                self._round(key).join(member)

    def unseat(self, member: Taker, key: str) -> None:
        """It does not listen any more, or is dead."""
        if key in member.trays:
            self._rounds[key].leave(member)
            member.trays.pop(key).close()

    def leave(self, member: Taker) -> None:
        """A worker is dead."""
        for key in [key for key in member.trays if key.startswith(PREFIX)]:
            self.unseat(member, key)

    def act(self, now: float) -> None:
        """Once a turn."""
        for each in self._rounds.values():
            each.act(now)

    def finish(self) -> None:
        """Accept no more: the workers do, on the handles themselves."""
        self._finished = True
        for key, each in self._rounds.items():
            for handle in self._listeners_of(key):
                for member in self._with_tray(key):
                    self._wires.send(member.channel, Mind([key]), [handle.fileno()])
            each.finish()

    def _round(self, key: str) -> RoundRobin:
        if key not in self._rounds:
            self._rounds[key] = RoundRobin(
                self._wires,
                key=key,
                takers=partial(self._with_tray, key),
                listeners=lambda: [] if self._finished else self._listeners_of(key),
                nap=NAP,
            )
        return self._rounds[key]

    def _with_tray(self, key: str) -> list[Taker]:
        return [each for each in self._takers() if key in each.trays]

    def _listeners_of(self, key: str) -> list[socket.socket]:
        found = self._handles.sockets().get(key)
        return [found] if found else []
