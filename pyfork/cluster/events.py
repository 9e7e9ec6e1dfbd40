"""Named events with handlers, as in Node."""

import sys
from collections.abc import Callable, Coroutine
from typing import Any

Handler = Callable[..., object]


class Emitter:
    """An object with the events named in ``events``."""

    events: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {name: [] for name in self.events}
        self._tasks: set[object] = set()  # asyncio keeps weak references only

    def on(self, event: str, handler: Any = None) -> Any:
        """Call ``handler`` at each ``event``; without a handler, return a decorator.

        A coroutine function is run as a task of the running loop.

        Raises:
            ValueError: there is no such event.
        """
        handlers = self._of(event)
        if handler is None:
            return lambda decorated: self.on(event, decorated)
        handlers.append(handler)
        return handler

    def once(self, event: str, handler: Any = None) -> Any:
        """Call ``handler`` at the next ``event`` only; see `on`."""
        if handler is None:
            return lambda decorated: self.once(event, decorated)

        def only(*args: Any) -> object:
            self.off(event, only)
            return handler(*args)

        only.__wrapped__ = handler  # type: ignore[attr-defined]
        self.on(event, only)
        return handler

    def off(self, event: str, handler: Handler) -> None:
        """Do not call ``handler`` any more; no error if it is not registered."""
        handlers = self._of(event)
        for registered in handlers:
            if handler in (registered, getattr(registered, "__wrapped__", None)):
                handlers.remove(registered)
                return

    def emit(self, event: str, *args: Any) -> None:
        """Call the handlers of ``event``. An exception of a handler is raised here."""
        for handler in tuple(self._of(event)):
            result = handler(*args)
            if isinstance(result, Coroutine):
                self._start(event, result)

    def _start(self, event: str, coroutine: Coroutine[Any, Any, object]) -> None:
        import asyncio  # imported already, since there is a coroutine

        try:
            task = asyncio.get_running_loop().create_task(coroutine)
        except RuntimeError:
            coroutine.close()
            raise RuntimeError(
                f"a handler of {event!r} is a coroutine function, and no event loop is running: "
                "register it inside the loop that runs it"
            ) from None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _of(self, event: str) -> list[Handler]:
        if event not in self.events:
            raise ValueError(f"there is no event {event!r}, only {', '.join(self.events)}")
        return self._handlers[event]


def running_loop() -> Any:
    """Return the asyncio loop that runs in this thread, or None."""
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
