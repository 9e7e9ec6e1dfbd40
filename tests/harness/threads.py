"""Threads of clients, which run as long as a block lasts."""

import threading
from types import TracebackType
from typing import Self


class ThreadsOfBlock:
    """Entering starts ``threads``; leaving sets ``over``, and waits until all have ended."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
