"""The interface between the arbiter's loop and its parts.

The loop ticks every component once per iteration, in one order, and waits no longer than to the
earliest deadline. A child that the arbiter forks first closes what belongs to the arbiter alone.
"""

import contextlib
from collections.abc import Collection

from pyfork.clock import earliest
from pyfork.ipc.poller import Poller


class Component:
    """One part of the arbiter. A subclass overrides what applies to it."""

    __slots__ = ()

    @property
    def deadline(self) -> float | None:
        """When `tick` has to be called at the latest, in monotonic seconds; None: no limit."""
        return None

    def tick(self, now: float) -> None:
        """Compare what is with what should be, and do what is missing. Never waits."""

    def close_in_child(self) -> None:
        """Close the descriptors that a forked child has of this component."""


class Components:
    """All components of one arbiter, in the order of their ticks.

    It exists before they do: those that fork need it, and are components themselves.
    """

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._ordered: tuple[Component, ...] = ()

    def set(self, *components: Component) -> None:
        """Called once, when all are built."""
        self._ordered = components

    @property
    def deadline(self) -> float | None:
        """The earliest deadline of all."""
        return earliest(*(component.deadline for component in self._ordered))

    def tick(self, now: float) -> None:
        """Tick each component."""
        for component in self._ordered:
            component.tick(now)

    def close_in_child(self, *, keep: Collection[Component] = ()) -> None:
        """Close in a forked child all that is the arbiter's, but for the components ``keep``."""
        self._poller.close()
        for component in self._ordered:
            if component not in keep:
                with contextlib.suppress(OSError):  # the others are closed all the same
                    component.close_in_child()
