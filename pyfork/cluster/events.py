"""Events, as Node's objects have them: names, and who is called when one happens."""

import sys
from collections.abc import Callable, Coroutine
from typing import Any

Handler = Callable[..., object]


class Emitter:
    """What happens here has names; ``events`` are all that there are."""

    events: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {name: [] for name in self.events}
        self._tasks: set[object] = set()  # asyncio itself holds them weakly

    def on(self, event: str, handler: Any = None) -> Any:
        """Call ``handler`` whenever ``event`` happens; without one, a decorator.

        A coroutine function becomes a task of the running loop. Raises ValueError: there is no
        such event.
        """
        handlers = self._of(event)
        if handler is None:
            return lambda decorated: self.on(event, decorated)
        handlers.append(handler)
        return handler

    def once(self, event: str, handler: Any = None) -> Any:
        """Call ``handler`` the next time, and then no more; see `on`."""
        if handler is None:
            return lambda decorated: self.once(event, decorated)

        def only(*args: Any) -> object:
            self.off(event, only)
            return handler(*args)

        only.__wrapped__ = handler  # type: ignore[attr-defined]
        self.on(event, only)
        return handler

    def off(self, event: str, handler: Handler) -> None:
        """Call ``handler`` no more; nothing happens if nobody did."""
        handlers = self._of(event)
        for each in handlers:
            if handler in (each, getattr(each, "__wrapped__", None)):
                handlers.remove(each)
                return

    def emit(self, event: str, *args: Any) -> None:
        """It happens. What a handler raises goes to the caller."""
        for handler in tuple(self._of(event)):
            result = handler(*args)
            if isinstance(result, Coroutine):
                self._start(event, result)

    def _start(self, event: str, coroutine: Coroutine[Any, Any, object]) -> None:
        import asyncio  # whoever has a coroutine has it already

        try:
            task = asyncio.get_running_loop().create_task(coroutine)
        except RuntimeError:
            coroutine.close()
            raise RuntimeError(
                f"a handler of {event!r} is a coroutine function, and no event loop is running: "
                "register it inside of the loop that it is to run in"
            ) from None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _of(self, event: str) -> list[Handler]:
        if event not in self.events:
            raise ValueError(f"there is no event {event!r}, only {', '.join(self.events)}")
        return self._handlers[event]


def running_loop() -> Any:
    """The asyncio loop that runs in this thread, or None."""
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
