"""ASGI's lifespan protocol: startup and shutdown events for the application.

One task runs the application for the whole life of the worker (asgi.readthedocs.io, lifespan). It
is not uvicorn's implementation: importing uvicorn takes longer than the rest of a start, and costs
each worker 5 MiB of private memory.
"""

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

from pyfork.errors import BootError
from pyfork.http.asgi.running import AsgiApp, Scope
from pyfork.loader import tracebacks

log = logging.getLogger("pyfork.error")

Event = MutableMapping[str, Any]


class Lifespan:
    """The lifespan of one worker's application.

    ``state`` is filled by the application at startup. ``required``: an exception instead of an
    answer is a failure; otherwise it means that the application has no lifespan.
    """

    def __init__(self, app: AsgiApp, state: Scope, *, required: bool) -> None:
        self._app = app
        self._state = state
        self._required = required
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._stage = ""  # the last event sent
        self._answered: asyncio.Future[None]  # by the application, to that event
        self._task: asyncio.Task[None]
        self._refusal: str | None = None  # the message of a failed event
        self._raised: BaseException | None = None
        self._received = False  # the application has called receive()

    async def startup(self) -> None:
        """Send startup. Raises BootError if the application reports a failure."""
        loop = asyncio.get_running_loop()
        self._answered = loop.create_future()
        self._task = loop.create_task(self._live())
        await self._send_event("startup")
        if self._refusal is not None or (self._raised is not None and self._required):
            detail = self._refusal or (
                tracebacks.app_traceback(self._raised) if self._raised else ""
            )
            why = "the application's lifespan startup failed"
            raise BootError(why, detail) from self._raised

    async def shutdown(self) -> None:
        """Send shutdown, if the application takes events. A failure is logged."""
        if not self._task.done():
            await self._send_event("shutdown")

    async def _send_event(self, stage: str) -> None:
        """Send an event; return when the application has answered or ended."""
        self._stage = stage
        self._answered = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait({"type": f"lifespan.{stage}"})
        await self._answered

    async def _live(self) -> None:
        asgi = {"version": "3.0", "spec_version": "2.0"}
        try:
            await self._app(
                {"type": "lifespan", "asgi": asgi, "state": self._state},
                self._receive,
                self._send,
            )
        except BaseException as error:  # noqa: BLE001 - the loop must not raise even SystemExit
            self._raised = error
            if self._must_log(error):
                log.error("the application's lifespan failed\n%s", tracebacks.app_traceback(error))
        finally:
            if not self._answered.done():
                self._answered.set_result(None)

    def _must_log(self, error: BaseException) -> bool:
        """Whether ``error`` must be logged here: it does not just mean that there is no lifespan.

        An application without a lifespan raises an Exception at once.
        """
        if self._refusal is not None or _is_cancelled(error):
            return False
        if self._stage != "startup" or self._answered.done():
            return True
        return not self._required and (self._received or not isinstance(error, Exception))

    async def _receive(self) -> Event:
        self._received = True
        return await self._inbox.get()

    async def _send(self, message: Event) -> None:
        name = message["type"]
        answers = (f"lifespan.{self._stage}.complete", f"lifespan.{self._stage}.failed")
        if name not in answers or self._answered.done():
            raise RuntimeError(f"{name} does not answer lifespan.{self._stage}")
        if name.endswith(".failed"):
            self._refusal = str(message.get("message", ""))
            if self._stage == "shutdown":
                log.error("the application's lifespan shutdown failed\n%s", self._refusal)
        self._answered.set_result(None)


def _is_cancelled(error: BaseException) -> bool:
    """Whether ``error`` is the cancellation of this task."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
