"""Where a WSGI application runs: in the loop, or in a pool of threads (`worker.threads`)."""

from collections.abc import Callable
from typing import Protocol


class Runner(Protocol):
    """Where application code runs."""

    def run(self, step: Callable[[], None], then: Callable[[], None]) -> None:
        """Run ``step``, somewhere, then ``then`` in the loop."""

    def in_loop(self, call: Callable[[], None]) -> None:
        """Called from a step: run ``call`` in the loop, and wait for it; raises what it raises."""


class Inline:
    """Application code runs in the loop's thread: one request at a time."""

    def run(self, step: Callable[[], None], then: Callable[[], None]) -> None:
        step()
        then()

    def in_loop(self, call: Callable[[], None]) -> None:
        call()
